"""Refusals in the words of the Hugging Face Hub, whose clients tell them apart by headers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from hub.catalogue.hf.visitors import BadCredentials, Visitor, visitor_of
from hub.catalogue.repositories import EntryNotFound, RepoNotFound, RevisionNotFound
from hub.common.api.problems import problem_of
from hub.common.errors import DomainError

Answer = Callable[[Visitor], HttpResponseBase]


def in_dialect(request: HttpRequest, answer: Answer) -> HttpResponseBase:
    """Answer whoever asks, with refusals in the form that clients expect."""
    visitor = Visitor()
    try:
        visitor = visitor_of(request)
        return answer(visitor)
    except BadCredentials:
        return _refusal(401, "", "Invalid credentials in Authorization header")
    except DomainError as error:
        return _refused(error, is_known=visitor.reader is not None)


def _refused(error: DomainError, *, is_known: bool) -> HttpResponseBase:
    match error:
        case RepoNotFound():
            # As the real hub does: who has not said who he is might still be let in.
            status = HTTPStatus.NOT_FOUND if is_known else HTTPStatus.UNAUTHORIZED
            return _refusal(status, "RepoNotFound", "Repository not found")
        case RevisionNotFound():
            return _refusal(404, "RevisionNotFound", "Invalid rev id")
        case EntryNotFound():
            return _refusal(404, "EntryNotFound", "Entry not found")
    return problem_of(error).response()


def _refusal(status: int, code: str, message: str) -> HttpResponseBase:
    headers = {"X-Error-Message": message, "Cache-Control": "no-store"}
    if code:
        headers["X-Error-Code"] = code
    return JsonResponse({"error": message}, status=status, headers=headers)
