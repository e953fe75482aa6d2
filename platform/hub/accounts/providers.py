"""Signing in at an organisation's own identity provider: whom it may speak for, and whom not."""

from __future__ import annotations

from typing import Any

from allauth.core.exceptions import ImmediateHttpResponse
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from allauth.socialaccount.providers.base import AuthProcess
from allauth.socialaccount.providers.openid_connect import views
from csp.decorators import csp_update
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text

PARTS = frozenset({"userinfo", "id_token"})
CONFIRMED = (True, "true")  # some providers write it as text
# Where a form leads, and its redirects: a provider may send on to others. It asks for nothing.
ELSEWHERE = {"form-action": ["https:", "http://127.0.0.1:*", "http://localhost:*"]}


class ProviderAdapter(DefaultSocialAccountAdapter):  # type: ignore[misc]  # allauth has no types
    """A provider makes accounts for addresses that it has confirmed, and opens only those.

    Who has an account of another making signs in to it and connects the provider there.
    """

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Called when the provider has said who somebody is, before anything follows from it."""
        connects = sociallogin.state.get("process") == AuthProcess.CONNECT
        refusal = _contradiction(sociallogin)
        if not refusal and not connects and not sociallogin.is_existing:
            refusal = _unfit(sociallogin)
        if refusal:
            messages.error(request, refusal)
            raise ImmediateHttpResponse(redirect("account_login"))

    def populate_user(
        self, request: HttpRequest, sociallogin: SocialLogin, data: dict[str, Any]
    ) -> User:
        """What somebody is when they come for the first time; of the claims little is kept."""
        said = sociallogin.account.extra_data
        sociallogin.account.extra_data = {part: _kept(said[part]) for part in PARTS & said.keys()}
        user: User = super().populate_user(request, sociallogin, data)
        user.name = _name(str(data.get("name") or ""), user.email)
        return user


def _contradiction(sociallogin: SocialLogin) -> str:
    """OpenID Connect Core 5.3.2: both answers of the provider are about one person."""
    said = sociallogin.account.extra_data
    about = {said[part].get("sub") for part in PARTS & said.keys()}
    return _("The provider's answers are about two people.") if len(about) > 1 else ""


def _unfit(sociallogin: SocialLogin) -> str:
    """Why the provider makes no account for this person; empty: it does."""
    said = sociallogin.account.extra_data
    claims = said.get("userinfo") or said.get("id_token") or {}
    provider = sociallogin.provider
    email = str(claims.get("email") or "").strip().lower()
    if not email or claims.get("email_verified") not in CONFIRMED:
        return _("%(provider)s has not confirmed your email address, so it opens no account.") % {
            "provider": provider.name
        }
    domains = provider.app.settings.get("domains")
    if domains and email.rpartition("@")[2] not in domains:
        return _("%(provider)s does not speak for addresses like yours here.") % {
            "provider": provider.name
        }
    if User.objects.filter(email=email).exists():
        return _(
            "You have an account. Sign in to it, and connect %(provider)s in its settings."
        ) % {"provider": provider.name}
    return ""


def _kept(claims: dict[str, Any]) -> dict[str, Any]:
    """Those by which somebody is known, without what a database cannot hold."""
    return {
        name: claims[name]
        for name in ("sub", "email", "email_verified")
        if name in claims and str(claims[name]).isprintable()
    }


def _name(said: str, email: str) -> str:
    """As the provider has it, if it can be a name here; else what stands before the @."""
    try:
        return text.line(said, least=1, most=120)
    except text.UnfitText:
        return email.partition("@")[0][:120]


@login_not_required
def sign_in(request: HttpRequest, provider_id: str) -> HttpResponseBase:
    """The page that leads to a provider, from which a form may lead out of the hub."""
    found: HttpResponseBase = csp_update(ELSEWHERE)(views.login)(request, provider_id)
    return found
