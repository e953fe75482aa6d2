from __future__ import annotations

from django.urls import path

from hub.accounts import pages

app_name = "accounts"

urlpatterns = [
    path("account/", pages.profile, name="profile"),
    path("account/tokens", pages.tokens, name="tokens"),
    path("account/tokens/<str:token_id>/revoke", pages.revoke_token, name="revoke-token"),
]
