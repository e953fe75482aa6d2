"""Who asks: a person by API token, an agent by download token, or nobody known."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import HttpRequest
from rest_framework.exceptions import AuthenticationFailed

from hub.accounts.models import User
from hub.catalogue.bases.inspecting import LICENCES
from hub.catalogue.blobs.tokens import PREFIX, TokenRefused, read_download_token
from hub.catalogue.hf.repositories import Repository, find_repository
from hub.catalogue.hf.snapshots import HeldFile, RepoNotFound, Snapshot
from hub.catalogue.selectors import Reader, require_accepted
from hub.common.api.authentication import BearerAuthentication

SCHEME = "Bearer "
UNGATED = frozenset({"README.md", "NOTICE", *LICENCES})  # to be read before they are accepted


class BadCredentials(Exception):
    """There is a token, and it opens nothing."""


class Reading(BearerAuthentication):
    """The dialect only reads, also where its clients POST."""

    reading = True


@dataclass(frozen=True, slots=True)
class Visitor:
    reader: Reader | None = None
    only_repo: str | None = None  # what a download token is good for
    token_name: str = ""
    token_scope: str = ""

    @property
    def person(self) -> User:
        """Raises BadCredentials: nobody, or an agent."""
        if not isinstance(self.reader, User):
            raise BadCredentials("not a person's token")
        return self.reader

    def repository(self, owner: str, name: str) -> Repository:
        """Raises RepoNotFound."""
        if self.reader is None or self.only_repo not in {None, f"{owner}/{name}"}:
            raise RepoNotFound(f"{owner}/{name}")
        return find_repository(self.reader, owner, name)

    def snapshot(self, owner: str, name: str, revision: str) -> Snapshot:
        """Raises RepoNotFound, RevisionNotFound."""
        return self.repository(owner, name).at(revision)

    def open(self, snapshot: Snapshot, path: str) -> HeldFile:
        """A file that the visitor may have: who may not have the weights may read the licence.

        Raises:
            EntryNotFound, LicenceNotAccepted, BeingMerged.
        """
        if path not in UNGATED:
            self.pass_gate(snapshot)
        return snapshot.file(path)

    def pass_gate(self, of: Repository | Snapshot) -> None:
        """Raises LicenceNotAccepted."""
        if self.reader is not None and of.gate is not None:
            require_accepted(self.reader, of.gate)


def visitor_of(request: HttpRequest) -> Visitor:
    """Raises BadCredentials."""
    given = request.headers.get("Authorization", "")
    if not given:
        return Visitor()
    try:
        if given.startswith(SCHEME + PREFIX):
            token = read_download_token(given.removeprefix(SCHEME))
            return Visitor(token.agent, token.repo)
        found = Reading().authenticate(request)
    except (AuthenticationFailed, TokenRefused) as refused:
        raise BadCredentials(str(refused)) from refused
    if found is None:
        raise BadCredentials("not a bearer token")
    person, token = found
    return Visitor(person, token_name=token.name, token_scope=token.scope)
