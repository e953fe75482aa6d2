from __future__ import annotations

from django.urls import path

from hub.accounts import pages, providers

app_name = "accounts"

urlpatterns = [
    path("accounts/password/set/", pages.set_password, name="set-password"),
    path("accounts/again", pages.again, name="again"),
    path("accounts/oidc/<str:provider_id>/login/", providers.sign_in, name="sign-in-with"),
    path("account/", pages.profile, name="profile"),
    path("account/language", pages.language, name="language"),
    path("account/tokens", pages.tokens, name="tokens"),
    path("account/tokens/<str:token_id>/revoke", pages.revoke_token, name="revoke-token"),
]
