"""Who asks: a person by API token, an agent by download token, or nobody known."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from hub.catalogue.repositories import RepoNotFound, Snapshot, find_snapshot
from hub.catalogue.selectors import Reader
from hub.catalogue.tokens import PREFIX, TokenRefused, read_download_token
from hub.common.api.authentication import BearerAuthentication

SCHEME = "Bearer "


class BadCredentials(Exception):
    """There is a token, and it opens nothing."""


@dataclass(frozen=True, slots=True)
class Visitor:
    reader: Reader | None = None
    only_repo: str | None = None  # what a download token is good for

    def snapshot(self, owner: str, name: str, revision: str) -> Snapshot:
        """Raises RepoNotFound, RevisionNotFound."""
        if self.reader is None or self.only_repo not in {None, f"{owner}/{name}"}:
            raise RepoNotFound(f"{owner}/{name}")
        return find_snapshot(self.reader, owner, name, revision)


def visitor_of(request: HttpRequest) -> Visitor:
    """Raises BadCredentials."""
    given = request.headers.get("Authorization", "")
    if not given:
        return Visitor()
    try:
        if given.startswith(SCHEME + PREFIX):
            token = read_download_token(given.removeprefix(SCHEME))
            return Visitor(token.agent, token.repo)
        found = BearerAuthentication().authenticate(request)
    except (AuthenticationFailed, TokenRefused) as refused:
        raise BadCredentials(str(refused)) from refused
    if found is None:
        raise BadCredentials("not a bearer token")
    return Visitor(found[0])
