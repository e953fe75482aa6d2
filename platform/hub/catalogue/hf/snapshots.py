"""What a repository holds at one revision, and how a client is told that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from django.db.models import QuerySet

from hub.catalogue.models import BaseModel, BaseModelFile, MergedFile, ModelVersion, VersionFile
from hub.catalogue.versions.merging import require_merged
from hub.common.errors import NotFound

HeldFile: TypeAlias = BaseModelFile | VersionFile | MergedFile
Files: TypeAlias = QuerySet[BaseModelFile] | QuerySet[VersionFile] | QuerySet[MergedFile]


class RepoNotFound(NotFound):
    title = "There is no such repository, or it is not yours to see."


class RevisionNotFound(NotFound):
    title = "The repository has no such revision."


class EntryNotFound(NotFound):
    """`commit` is that of the revision, which clients note as lacking the file."""

    title = "This revision has no such file."

    def __init__(self, detail: str, *, commit: str = "") -> None:
        super().__init__(detail)
        self.commit = commit


@dataclass(frozen=True, slots=True)
class Commit:
    """As git has it: a name that never means anything else, what it did, and when."""

    digits: str
    title: str
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A repository at one revision; nothing of it ever changes.

    `gate` is the base model whose licence those must have accepted who take its files. `card` is
    the metadata at the top of its README.
    """

    repo: str
    head: Commit
    library: str
    files: Files
    gate: BaseModel | None = None
    card: Mapping[str, Any] = field(default_factory=dict)

    @property
    def commit(self) -> str:
        """The 40 digits of its revision."""
        return self.head.digits

    @property
    def paths(self) -> list[str]:
        """Of all files, also of those that are still to be made."""
        return list(self.files.values_list("path", flat=True))

    def file(self, path: str) -> HeldFile:
        """Raises EntryNotFound."""
        found = self.files.filter(path=path).select_related("artifact").first()
        if found is None:
            raise EntryNotFound(f"{self.repo} has no {path[:200]}", commit=self.commit)
        return found

    def below(self, prefix: str) -> list[HeldFile]:
        """All files whose path begins so; all of them for an empty prefix."""
        return list(self.files.filter(path__startswith=prefix).select_related("artifact"))


@dataclass(frozen=True, slots=True)
class MergedSnapshot(Snapshot):
    """A merged model: what it is called is known; whoever wants a file has it made, and waits.

    `files` are its base's, which have the same paths.
    """

    version: ModelVersion = field(kw_only=True)

    def file(self, path: str) -> HeldFile:
        """Raises EntryNotFound, BeingMerged, NotMergeable."""
        return self._made().file(path)

    def below(self, prefix: str) -> list[HeldFile]:
        """Raises BeingMerged, NotMergeable."""
        return self._made().below(prefix)

    def _made(self) -> Snapshot:
        files = require_merged(self.version).files.all()
        return Snapshot(self.repo, self.head, self.library, files, self.gate, self.card)
