"""How allauth behaves here: links lead to PUBLIC_URL, addresses come from a trusted proxy only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core import context
from allauth.core.exceptions import ImmediateHttpResponse
from django.conf import settings
from django.http import HttpRequest
from django.utils.translation import get_language

from hub.accounts.factors import again, was_recently_authenticated
from hub.accounts.models import User
from hub.accounts.selectors import language_of
from hub.accounts.validators import LONGEST_PASSWORD
from hub.common import switches
from hub.common.api.limits import address_of
from hub.common.languages import spoken_to


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth has no types
    def is_open_for_signup(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return switches.sign_up_is_open()

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """What a mail says of the hub is what the settings say, not what a request's Host says.

        It speaks the language of who gets it, where that is known; else of who asked for it.
        """
        links = {
            name: at_public_url(value) for name, value in context.items() if name.endswith("_url")
        }
        site = SimpleNamespace(name="Foedus", domain=urlsplit(settings.PUBLIC_URL).netloc)
        with spoken_to(language_of(email) or get_language() or ""):
            super().send_mail(template_prefix, email, {**context, **links, "current_site": site})

    def authenticate(self, request: HttpRequest, **credentials: Any) -> User | None:
        """Nobody has a password longer than the limit, so no time is spent on hashing one."""
        if len(credentials.get("password") or "") > LONGEST_PASSWORD:
            self.pre_authenticate(request, **credentials)
            return None
        found: User | None = super().authenticate(request, **credentials)
        return found

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        """A sign-in of just now is as good as being asked again.

        Raises:
            ImmediateHttpResponse: there is nothing to ask for but another sign-in.
        """
        request = context.request
        if was_recently_authenticated(request):
            return False
        if not get_reauthentication_flows(request.user):
            raise ImmediateHttpResponse(again(request))
        return bool(super().is_reauthentication_required(app=app, **options))

    def get_client_ip(self, request: HttpRequest) -> str:
        return address_of(request)


def at_public_url(link: str) -> str:
    """The same page under PUBLIC_URL."""
    parts = urlsplit(link)
    return f"{settings.PUBLIC_URL}{parts._replace(scheme='', netloc='').geturl()}"
