"""What Django itself refuses under /api/ gets a problem document, everywhere else a page."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.views import defaults

from hub.common.api.problems import ABSENT, Problem, problem_of
from hub.common.errors import NotFound

API = ("/api/", "/hf/")
BAD = Problem(400, "malformed", "The request cannot be read.", "It is not well-formed HTTP.")
LARGE = Problem(413, "too_large", "The body is too large.", "Send less.")
HIDDEN = Problem(403, "forbidden", "Your role does not allow this.", "It is not allowed.")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    problem = LARGE if isinstance(exception, RequestDataTooBig) else BAD
    return _answer(request, problem, lambda: defaults.bad_request(request, exception))


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _answer(request, HIDDEN, lambda: defaults.permission_denied(request, exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    absent = problem_of(NotFound(ABSENT))
    return _answer(request, absent, lambda: defaults.page_not_found(request, exception))


def server_error(request: HttpRequest) -> HttpResponse:
    broken = problem_of(RuntimeError())
    return _answer(request, broken, lambda: defaults.server_error(request))


def _answer(
    request: HttpRequest, problem: Problem, page: Callable[[], HttpResponse]
) -> HttpResponse:
    return problem.response() if request.path.startswith(API) else page()
