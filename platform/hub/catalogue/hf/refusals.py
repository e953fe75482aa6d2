"""Refusals in the words of the Hugging Face Hub, whose clients tell them apart by headers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase

from hub.catalogue.errors import LicenceNotAccepted
from hub.catalogue.hf.snapshots import EntryNotFound, RepoNotFound, RevisionNotFound
from hub.catalogue.hf.visitors import BadCredentials, Visitor, visitor_of
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
            answer = _refusal(404, "EntryNotFound", "Entry not found")
            if error.commit:  # clients remember then that this commit lacks the file
                answer.headers["X-Repo-Commit"] = error.commit
            return answer
        case LicenceNotAccepted():
            return _refusal(403, "GatedRepo", f"{error.title} {error.detail}")
    return _told(error)


def _told(error: DomainError) -> HttpResponseBase:
    """Any other refusal: a problem document, with the words where clients look for them."""
    response = problem_of(error).response()
    response.headers["X-Error-Code"] = error.code
    response.headers["X-Error-Message"] = " ".join(f"{error.title} {error.detail}".split())
    return response


def _refusal(status: int, code: str, message: str) -> HttpResponseBase:
    headers = {"X-Error-Message": message, "Cache-Control": "no-store"}
    if code:
        headers["X-Error-Code"] = code
    return JsonResponse({"error": message}, status=status, headers=headers)
