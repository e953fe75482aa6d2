"""Base models and version lines as the repositories that the Hugging Face dialect knows.

`base/<slug>` is a base model at its one revision. `<federation>/adapter` is the line of versions
of a federation at a revision: the 40 digits of one commit, or what `aliases.version_at` knows (a
number, a standing name or one of the federation's own). All but the digits mean the newest commit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from django.db.models import QuerySet

from hub.catalogue.aliases import COMMIT, version_at
from hub.catalogue.models import (
    BaseModelFile,
    ModelVersion,
    VersionCommit,
    VersionFile,
)
from hub.catalogue.selectors import Reader, base_models, federations_read_by
from hub.common.errors import NotFound
from hub.federations.models import Federation

BASES, ADAPTER = "base", "adapter"

Files: TypeAlias = QuerySet[BaseModelFile] | QuerySet[VersionFile]


class RepoNotFound(NotFound):
    title = "There is no such repository, or it is not yours to see."


class RevisionNotFound(NotFound):
    title = "The repository has no such revision."


class EntryNotFound(NotFound):
    title = "This revision has no such file."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one revision; nothing of it ever changes."""

    repo: str
    commit: str
    made_at: datetime
    library: str
    files: Files
    card: Mapping[str, str] = field(default_factory=dict)

    def file(self, path: str) -> BaseModelFile | VersionFile:
        """Raises EntryNotFound."""
        found = self.files.filter(path=path).select_related("artifact").first()
        if found is None:
            raise EntryNotFound(f"{self.repo} has no {path[:200]}")
        return found

    def below(self, prefix: str) -> list[BaseModelFile | VersionFile]:
        """All files whose path begins so; all of them for an empty prefix."""
        return list(self.files.filter(path__startswith=prefix).select_related("artifact"))


def find_snapshot(reader: Reader, owner: str, name: str, revision: str) -> Snapshot:
    """A repository that the reader may see, at a revision.

    Raises:
        RepoNotFound, RevisionNotFound.
    """
    if owner == BASES:
        return _base(name, revision)
    return _version(find_line(reader, owner, name), revision)


def require_repository(reader: Reader, repo: str) -> None:
    """Raises RepoNotFound unless the reader may see the repository."""
    owner, _, name = repo.partition("/")
    if owner == BASES:
        if not base_models().filter(slug=name).exists():
            raise RepoNotFound(repo)
    else:
        find_line(reader, owner, name)


def find_line(reader: Reader, owner: str, name: str) -> Federation:
    found = federations_read_by(reader).filter(slug=owner).first()
    if found is None or name != ADAPTER:
        raise RepoNotFound(f"{owner}/{name}")
    return found


def _base(slug: str, revision: str) -> Snapshot:
    base = base_models().filter(slug=slug).first()
    if base is None:
        raise RepoNotFound(f"{BASES}/{slug}")
    if revision not in {"main", base.revision}:
        raise RevisionNotFound(revision)
    return Snapshot(base.repo, base.revision, base.created_at, "transformers", base.files.all())


def _version(federation: Federation, revision: str) -> Snapshot:
    version = version_at(federation, revision)
    if version is None:
        raise RevisionNotFound(revision)
    commit = commit_at(version, revision)
    return Snapshot(
        repo=f"{federation.slug}/{ADAPTER}",
        commit=commit.revision,
        made_at=commit.created_at,
        library="peft",
        files=commit.files.all(),
        card={"base_model": version.base_model.repo},
    )


def commit_at(version: ModelVersion, revision: str) -> VersionCommit:
    """The commit of a version that a revision of it names: its digits, else the newest."""
    commits = version.commits.order_by("-number")
    named = commits.filter(revision=revision) if COMMIT.fullmatch(revision) else commits
    found = named.first()
    if found is None:
        raise RevisionNotFound(revision)
    return found
