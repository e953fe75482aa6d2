"""While the hub is being worked on, nobody writes but operators; everybody may read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import render

from hub.common import switches
from hub.common.api.handlers import API
from hub.common.api.problems import problem_of
from hub.common.errors import Maintenance

READING = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
# How one becomes known as an operator, and leaves.
ENTRANCE = frozenset(
    {
        "account_login",
        "account_logout",
        "account_reauthenticate",
        "mfa_authenticate",
        "mfa_login_webauthn",
        "mfa_reauthenticate",
        "mfa_reauthenticate_webauthn",
    }
)


class MaintenanceGate:
    """Refuses writes with 503 and a time to come back. Stands behind who signs people in.

    Operators pass by their session; a token opens nothing here, whoever has made it.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        return self.get_response(request)

    def process_view(
        self,
        request: HttpRequest,
        view: Callable[..., Any],  # noqa: ARG002 (Django hands them)
        args: object,  # noqa: ARG002
        kwargs: object,  # noqa: ARG002
    ) -> HttpResponseBase | None:
        if request.method in READING:
            return None
        try:
            switches.refuse_in_maintenance()
        except Maintenance as refusal:
            return None if _passes(request) else _refused(request, refusal)
        return None


def _passes(request: HttpRequest) -> bool:
    match = request.resolver_match
    if match is not None and match.view_name in ENTRANCE:
        return True
    return request.user.is_active and bool(getattr(request.user, "is_staff", False))


def _refused(request: HttpRequest, refusal: Maintenance) -> HttpResponse:
    problem = problem_of(refusal)
    if request.path.startswith(API):
        return problem.response()
    page = render(request, "common/maintenance.html", {"refusal": refusal}, status=problem.status)
    for name, value in problem.headers.items():
        page.headers[name] = value
    return page
