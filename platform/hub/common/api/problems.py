"""Every error as a problem document (RFC 9457): what went wrong, by a code that stays.

The cause goes to the log under the request's id; the detail is written for the caller. Whatever
does not exist or is not the caller's to see gives one and the same document.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import structlog
from django.conf import settings
from django.core.exceptions import PermissionDenied, TooManyFieldsSent
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, InterfaceError, OperationalError
from django.http import Http404, HttpResponse
from drf_standardized_errors.formatter import flatten_errors
from drf_standardized_errors.handler import ExceptionHandler
from drf_standardized_errors.types import Error
from psycopg_pool import PoolTimeout
from redis.exceptions import RedisError
from rest_framework import exceptions

from hub.common.errors import AT_COMMIT, DependencyDown, DomainError, NotFound
from hub.common.services import violated

logger = logging.getLogger(__name__)

PROBLEM_JSON = "application/problem+json"
ABSENT = "Nothing is at this address that you may see."
RETRY_SECONDS = 5
AWAY = (OperationalError, InterfaceError, PoolTimeout, RedisError)

# Our words for what the framework refuses; other codes of its exceptions stay as they are.
CODES = {
    "parse_error": "malformed",
    "error": "internal_error",
    "permission_denied": "forbidden",
    "invalid": "invalid_fields",
}
TITLES = {
    "invalid_fields": "Some fields are wrong.",
    "unknown_field": "The request has a field that does not exist.",
    "unknown_parameter": "The query has a parameter that does not exist.",
    "malformed": "The body cannot be read.",
    "not_authenticated": "Who asks was not said.",
    "authentication_failed": "Who asks was not proved.",
    "csrf_failed": "The form's token is missing or wrong.",
    "forbidden": "Your role does not allow this.",
    "throttled": "Too many tries.",
    "method_not_allowed": "This method is not for this address.",
    "not_acceptable": "The answer cannot be had in this format.",
    "unsupported_media_type": "The body is of a type that is not read here.",
    "internal_error": "Something broke on our side.",
}


@dataclass(frozen=True, slots=True)
class Problem:
    status: int
    code: str
    title: str
    detail: str
    errors: Mapping[str, Sequence[str]] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        members: dict[str, Any] = {
            **self.extra,
            "type": f"{settings.PUBLIC_URL}/docs/problems#{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "request_id": request_id(),
        }
        return members | ({"errors": dict(self.errors)} if self.errors else {})

    def response(self) -> HttpResponse:
        body = json.dumps(self.document(), cls=DjangoJSONEncoder)
        return HttpResponse(
            body, content_type=PROBLEM_JSON, status=self.status, headers=dict(self.headers)
        )


def request_id() -> str:
    """The id under which the log keeps this request; made here for who is refused at the door."""
    if "request_id" not in structlog.contextvars.get_contextvars():
        structlog.contextvars.bind_contextvars(request_id=str(uuid4()))
    return str(structlog.contextvars.get_contextvars()["request_id"])


def exception_handler(exception: Exception, context: Any) -> HttpResponse:
    """What REST framework calls with whatever a view raised."""
    return _Handler(exception, context).run()


def problem_of(exception: Exception) -> Problem:
    """The problem document of any exception; what nobody expected becomes a bare 500."""
    match exception:
        case Http404() | exceptions.NotFound():
            return _of_refusal(NotFound(ABSENT))
        case PermissionDenied() | TooManyFieldsSent():
            is_denied = isinstance(exception, PermissionDenied)
            ours = exceptions.PermissionDenied if is_denied else exceptions.ParseError
            return _of_framework(ours())
        case DomainError():
            return _of_refusal(exception)
        case exceptions.APIException():
            return _of_framework(exception)
    return _of_services(exception)


def _of_services(exception: Exception) -> Problem:
    """What PostgreSQL and Redis say, and what nobody foresaw."""
    if isinstance(exception, AWAY):
        return _of_refusal(DependencyDown("Try again in a moment.", retry_after=RETRY_SECONDS))
    if isinstance(exception, IntegrityError) and violated(exception) in AT_COMMIT:
        return _of_refusal(AT_COMMIT[violated(exception)])
    return _of_framework(exceptions.APIException("The log has the cause, under the request id."))


def _of_refusal(refusal: DomainError) -> Problem:
    absent = isinstance(refusal, NotFound) and refusal.code == NotFound.code
    wait = refusal.retry_after
    return Problem(
        status=refusal.status,
        code=refusal.code,
        title=refusal.title,
        detail=ABSENT if absent else refusal.detail,
        headers={} if wait is None else {"Retry-After": str(wait)},
        extra={} if absent else refusal.extra,
    )


def _of_framework(exception: exceptions.APIException) -> Problem:
    found = flatten_errors(exception.detail)
    code = _code(exception, [error.code for error in found])
    is_validation = isinstance(exception, exceptions.ValidationError)
    errors = _by_field(found) if is_validation else {}
    return Problem(
        status=exception.status_code,
        code=code,
        title=TITLES.get(code, f"{HTTPStatus(exception.status_code).phrase.capitalize()}."),
        detail="; ".join(map(_sentence, errors.items())) or found[0].detail,
        errors=errors,
        headers=_headers(exception),
    )


def _code(exception: exceptions.APIException, codes: Sequence[str]) -> str:
    """A validation error is named by what is wrong only where all of it is one thing."""
    if isinstance(exception, exceptions.ValidationError):
        own = set(codes) & {"unknown_field", "unknown_parameter"}
        return next(iter(own)) if len(own) == 1 else "invalid_fields"
    return CODES.get(codes[0], codes[0])


def _by_field(found: Iterable[Error]) -> dict[str, list[str]]:
    """Messages by the dotted name of their field; the whole body's own are under ""."""
    errors: dict[str, list[str]] = {}
    for error in found:
        name = (error.attr or "").removesuffix("non_field_errors")
        errors.setdefault(name.rstrip("."), []).append(error.detail)
    return errors


def _sentence(error: tuple[str, Sequence[str]]) -> str:
    name, messages = error
    return f"{name}: {' '.join(messages)}" if name else " ".join(messages)


def _headers(exception: exceptions.APIException) -> dict[str, str]:
    headers = {}
    if challenge := getattr(exception, "auth_header", None):
        headers["WWW-Authenticate"] = challenge
    if wait := getattr(exception, "wait", None):
        headers["Retry-After"] = str(int(wait) + 1)
    return headers


class _Handler(ExceptionHandler):  # type: ignore[misc]  # no types
    """The standard handling (rollback, signals, log of what broke) with our documents."""

    def run(self) -> HttpResponse:
        problem = problem_of(self.exc)
        self.set_rollback()
        response = problem.response()
        if problem.status == HTTPStatus.INTERNAL_SERVER_ERROR:
            self.report_exception(exceptions.APIException(), response)
        elif problem.status > HTTPStatus.INTERNAL_SERVER_ERROR:
            logger.warning(problem.code, extra={"cause": type(self.exc).__name__})
        return response
