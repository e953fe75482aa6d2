"""What is refused before any view sees it, whatever it is for."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from hub.common.api.parsers import JSON_LIMIT_BYTES
from hub.common.api.problems import Problem, request_id

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
URL_LIMIT = 8192
FORMS_WITH_FILES = re.compile(r"/base-models/drafts/[0-9a-f-]{36}/files")
BULK = "application/offset+octet-stream"  # parts of uploads; their view bounds them

NO_METHOD = Problem(405, "method_not_allowed", "There is no such method.", "Use another one.")
ENCODED = Problem(415, "content_encoding", "Bodies are sent as they are.", "Send it unencoded.")
TOO_LONG = Problem(414, "uri_too_long", "The address is too long.", f"At most {URL_LIMIT} bytes.")
TOO_LARGE = Problem(
    413, "too_large", "The body is too large.", f"At most {JSON_LIMIT_BYTES} bytes."
)
UNSIZED = Problem(
    411, "length_required", "The body's length is not said.", "Send a Content-Length."
)


class RequestGuard:
    """Bounds addresses and bodies, refuses compressed ones, and tells each request's id."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self.get_response = get_response
        self.is_async = bool(iscoroutinefunction(get_response))
        if self.is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self.is_async:
            return self._later(request)
        return named(refusal_of(request) or self.get_response(request))

    async def _later(self, request: HttpRequest) -> HttpResponseBase:
        refusal = refusal_of(request)
        if refusal is not None:
            return named(refusal)
        return named(await cast("Awaitable[HttpResponseBase]", self.get_response(request)))


def refusal_of(request: HttpRequest) -> HttpResponseBase | None:
    problem = _problem_of(request)
    return problem.response() if problem else None


def _problem_of(request: HttpRequest) -> Problem | None:
    return _problem_of_head(request) or _problem_of_body(request)


def _problem_of_head(request: HttpRequest) -> Problem | None:
    if request.method not in METHODS:
        return NO_METHOD
    if len(request.path.encode()) + len(request.META.get("QUERY_STRING", "")) > URL_LIMIT:
        return TOO_LONG
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        return ENCODED
    return None


def _problem_of_body(request: HttpRequest) -> Problem | None:
    if request.content_type == BULK or _has_files(request):
        return None
    if "Transfer-Encoding" in request.headers:
        return UNSIZED
    announced = request.headers.get("Content-Length") or "0"
    if not announced.isdecimal():
        return UNSIZED
    return TOO_LARGE if int(announced) > JSON_LIMIT_BYTES else None


def _has_files(request: HttpRequest) -> bool:
    """A form with files; how much of it is taken is bounded further out, where it is read."""
    is_form = request.content_type == "multipart/form-data"
    return is_form and FORMS_WITH_FILES.fullmatch(request.path) is not None


def named(response: HttpResponseBase) -> HttpResponseBase:
    response.headers["X-Request-ID"] = request_id()
    return response
