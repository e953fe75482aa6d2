"""The dialect's lists: repositories, their names and commits, and who is asking."""

from __future__ import annotations

from itertools import islice

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, JsonResponse
from django.http.response import HttpResponseBase
from django.views.decorators.http import require_safe

from hub.catalogue.hf.documents import answered, commit_of, refs_of, summary_of
from hub.catalogue.hf.listed import snapshots_for
from hub.catalogue.hf.refusals import in_dialect
from hub.catalogue.hf.visitors import Visitor
from hub.organisations.selectors import memberships_of

PAGE, MOST = 50, 1000
ROLES = {"owner": "admin"}  # in their words


@login_not_required
@require_safe
def whoami(request: HttpRequest) -> HttpResponseBase:
    """Whose token it is: `whoami`, and what `hf auth login` asks first."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        person = visitor.person
        places = memberships_of(person)
        token = {"displayName": visitor.token_name, "role": visitor.token_scope}
        return answered(
            {
                "type": "user",
                "id": str(person.pk),
                "name": person.email,
                "fullname": person.name,
                "email": person.email,
                "emailVerified": True,
                "isPro": False,
                "orgs": [
                    {
                        "type": "org",
                        "id": str(place.organisation_id),
                        "name": place.organisation.slug,
                        "fullname": place.organisation.name,
                        "roleInOrg": ROLES.get(place.role, "read"),
                    }
                    for place in places
                ],
                "auth": {"type": "access_token", "accessToken": token},
            }
        )

    return in_dialect(request, answer)


@login_not_required
@require_safe
def auth_check(request: HttpRequest, owner: str, name: str) -> HttpResponseBase:
    """Whether the visitor may have the files: `auth_check`."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        visitor.pass_gate(visitor.repository(owner, name))
        return JsonResponse({})

    return in_dialect(request, answer)


@login_not_required
@require_safe
def models(request: HttpRequest) -> HttpResponseBase:
    """The repositories that the visitor may see: `list_models`; the newest first."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        first, most = _page(request)
        if visitor.reader is None or visitor.only_repo is not None:
            return answered([])
        found = snapshots_for(
            visitor.reader,
            author=request.GET.get("author", ""),
            search=request.GET.get("search", ""),
        )
        page = list(islice(found, first, first + most + 1))
        more = _next(request, first + most) if len(page) > most else ""
        return answered([summary_of(snapshot) for snapshot in page[:most]], next_page=more)

    return in_dialect(request, answer)


@login_not_required
@require_safe
def refs(request: HttpRequest, owner: str, name: str) -> HttpResponseBase:
    """Names as branches, versions as tags: `list_repo_refs`."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        repository = visitor.repository(owner, name)
        found = refs_of(repository.branches(), repository.tags())
        return answered(found | ({"pullRequests": []} if "include_prs" in request.GET else {}))

    return in_dialect(request, answer)


@login_not_required
@require_safe
def commits(request: HttpRequest, owner: str, name: str, revision: str) -> HttpResponseBase:
    """What led to a revision: `list_repo_commits`."""

    def answer(visitor: Visitor) -> HttpResponseBase:
        first, most = _page(request)
        repository = visitor.repository(owner, name)
        found = repository.history(revision, after=first, most=most + 1)
        more = _next(request, first + most) if len(found) > most else ""
        return answered([commit_of(commit, owner) for commit in found[:most]], next_page=more)

    return in_dialect(request, answer)


def _page(request: HttpRequest) -> tuple[int, int]:
    """Where a page begins, and how much is on it. What is no number is not listened to."""
    cursor, limit = request.GET.get("cursor", ""), request.GET.get("limit", "")
    first = int(cursor) if cursor.isdecimal() and len(cursor) < len(str(10**9)) else 0
    most = int(limit) if limit.isdecimal() and len(limit) < len(str(10**9)) else PAGE
    return first, max(1, min(most, MOST))


def _next(request: HttpRequest, first: int) -> str:
    asked = request.GET.copy()
    asked["cursor"] = str(first)
    return f"{settings.PUBLIC_URL}{request.path}?{asked.urlencode()}"
