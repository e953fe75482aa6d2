"""Second factors: who must have one, what is closed until then, and being asked again."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from time import time
from typing import Any, Concatenate, ParamSpec, TypeAlias, cast
from urllib.parse import urlencode, urlsplit, urlunsplit

from allauth.account.internal.flows.login import (
    get_authentication_records,
    record_authentication,
)
from allauth.account.internal.flows.reauthentication import get_reauthentication_flows
from allauth.core.exceptions import ReauthenticationRequired
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.common.api.problems import problem_of
from hub.common.errors import SecondFactorRequired

# What somebody may open who owes a second factor: their account, what signs them in, and help.
OPEN = ("/account/", "/accounts/", "/docs/")
DATA = ("/api/", "/hf/")  # is asked by programs, which are told in their own words
DEMANDED = _lazy("Set up two-factor authentication to go on: it is demanded of you.")

P = ParamSpec("P")
View: TypeAlias = Callable[Concatenate[HttpRequest, P], HttpResponse]


def has_second_factor(user: User) -> bool:
    return bool(is_mfa_enabled(user))


class SecondFactorGate:
    """Closes everything but their account to people who owe a second factor.

    Tokens do not come past here: `BearerAuthentication` refuses those.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(self, request: HttpRequest, *_: Any) -> HttpResponseBase | None:
        if request.path.startswith(OPEN) or not _owes(request):
            return None
        if request.path.startswith(DATA):
            return problem_of(SecondFactorRequired("Set one up on your account's page.")).response()
        messages.warning(request, DEMANDED)
        return redirect("mfa_index")


def _owes(request: HttpRequest) -> bool:
    return isinstance(request.user, User) and request.user.owes_second_factor


def recently_authenticated(view: View[P]) -> View[P]:
    """For pages whose form does something dangerous: who sends it has just proved who they are.

    Whoever has not is asked for password, code or passkey, or sent once more to the provider they
    sign in with; then the form is sent by itself. Put it under `login_required`.
    """

    @wraps(view)
    def asked(request: HttpRequest, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if request.method == "POST" and not was_recently_authenticated(request):
            if not get_reauthentication_flows(request.user):
                return again(request)
            raise ReauthenticationRequired
        return view(request, *args, **kwargs)

    return cast("View[P]", asked)


def again(request: HttpRequest) -> HttpResponse:
    """Have somebody who has neither password nor second factor here sign in once more."""
    return redirect(f"{reverse('accounts:again')}?{urlencode({'next': page_of(request)})}")


def next_of(request: HttpRequest) -> str:
    """Where somebody wanted to go; home, if that is not here."""
    wanted = request.GET.get("next", "")
    return wanted if _is_here(request, wanted) else "/"


def page_of(request: HttpRequest) -> str:
    """The page whose form was sent."""
    came = request.headers.get("Referer", "")
    parts = urlsplit(came)
    return urlunsplit(("", "", parts.path, parts.query, "")) if _is_here(request, came) else "/"


def _is_here(request: HttpRequest, url: str) -> bool:
    return url_has_allowed_host_and_scheme(url, {request.get_host()}, request.is_secure())


def remember_password(request: HttpRequest, user: User) -> None:
    """Who has just chosen or typed their password on a page of ours is not asked again at once."""
    record_authentication(request, user, method="password", email=user.email)


def was_recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session's person has proved who they are within REAUTHENTICATION_TIMEOUT.

    A sign-in counts as much as being asked again.
    """
    records = get_authentication_records(request, request.user)
    latest: float = max((record["at"] for record in records), default=0.0)
    return time() - latest < settings.ACCOUNT_REAUTHENTICATION_TIMEOUT
