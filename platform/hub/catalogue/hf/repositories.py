"""Base models and version lines as the repositories that the Hugging Face dialect knows.

`base/<slug>` is a base model at its one revision. `<federation>/adapter` is the line of versions
of a federation; what a revision means there is said in `aliases`, and all but digits mean the
newest commit. `<federation>/adapter-merged` is the same line worked into the base's weights. The
digits of a commit may be cut to seven, where they are clear.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from django.db.models import Q

from hub.catalogue.cards.files import PIPELINES
from hub.catalogue.hf.snapshots import (
    Commit,
    EntryNotFound,
    MergedSnapshot,
    RepoNotFound,
    RevisionNotFound,
    Snapshot,
)
from hub.catalogue.models import BaseModel, CommitReason, MergedModel, ModelVersion, VersionCommit
from hub.catalogue.selectors import Reader, base_models, federations_read_by
from hub.catalogue.versions.aliases import COMMIT, LATEST, MAIN, RELEASED, aliases_of, version_at
from hub.catalogue.versions.merging import name_merged, revision_of_merged
from hub.federations.models import Federation

__all__ = [
    "EntryNotFound",
    "RepoNotFound",
    "Repository",
    "RevisionNotFound",
    "Snapshot",
    "find_repository",
    "find_snapshot",
    "require_repository",
]

BASES, ADAPTER, MERGED = "base", "adapter", "adapter-merged"
SHORT = re.compile(r"[0-9a-f]{7,39}")
TRANSFORMERS, PEFT = "transformers", "peft"
# Classified by the mean over their tokens, they are what their tokens are to transformers.
OF_TOKENS: Mapping[str, str] = {"sequence_classification": "token-classification"}


class Repository(Protocol):
    @property
    def name(self) -> str:
        """With its owner: `owner/name`."""

    @property
    def gate(self) -> BaseModel | None:
        """Whose licence those must have accepted who take its files."""

    def at(self, revision: str) -> Snapshot:
        """Raises RevisionNotFound."""

    def branches(self) -> dict[str, str]:
        """Names that may mean something else tomorrow, with the commits that they mean today."""

    def tags(self) -> dict[str, str]:
        """Names of versions with their newest commits; the newest version first."""

    def history(self, revision: str, *, after: int, most: int) -> list[Commit]:
        """Some of the commits up to a revision, the newest first. Raises RevisionNotFound."""


def find_repository(reader: Reader, owner: str, name: str) -> Repository:
    """Raises RepoNotFound unless there is one of this name, and the reader may see it."""
    if owner == BASES:
        base = base_models().filter(slug=name).first()
        if base is not None:
            return BaseRepository(base)
    elif name in LINES:
        federation = federations_read_by(reader).filter(slug=owner).first()
        if federation is not None:
            return LINES[name](federation)
    raise RepoNotFound(f"{owner}/{name}")


def find_snapshot(reader: Reader, owner: str, name: str, revision: str) -> Snapshot:
    """A repository that the reader may see, at a revision.

    Raises:
        RepoNotFound, RevisionNotFound.
    """
    return find_repository(reader, owner, name).at(revision)


def require_repository(reader: Reader, repo: str) -> None:
    """Raises RepoNotFound unless the reader may see the repository."""
    owner, _, name = repo.partition("/")
    find_repository(reader, owner, name)


def commit_at(version: ModelVersion, revision: str) -> VersionCommit:
    """The commit of a version that a revision of it names: its digits, else the newest."""
    commits = version.commits.order_by("-number")
    named = commits.filter(revision=revision) if COMMIT.fullmatch(revision) else commits
    found = named.first()
    if found is None:
        raise RevisionNotFound(revision)
    return found


@dataclass(frozen=True, slots=True)
class BaseRepository:
    base: BaseModel

    @property
    def name(self) -> str:
        return self.base.repo

    @property
    def gate(self) -> BaseModel | None:
        return self.base

    def at(self, revision: str) -> Snapshot:
        own = self.base.revision
        is_short = SHORT.fullmatch(revision) and own.startswith(revision)
        if revision not in {MAIN, own} and not is_short:
            raise RevisionNotFound(revision)
        card = {"license": self.base.licence.lower(), "library_name": TRANSFORMERS}
        return Snapshot(
            self.name, self._commit, TRANSFORMERS, self.base.files.all(), self.base, card
        )

    @property
    def _commit(self) -> Commit:
        return Commit(self.base.revision, "registered", self.base.created_at)

    def branches(self) -> dict[str, str]:
        return {MAIN: self.base.revision}

    def tags(self) -> dict[str, str]:
        return {}

    def history(self, revision: str, *, after: int, most: int) -> list[Commit]:
        return [self.at(revision).head][after : after + most]


@dataclass(frozen=True, slots=True)
class LineRepository:
    """The adapters of a federation's versions."""

    federation: Federation

    @property
    def name(self) -> str:
        return f"{self.federation.slug}/{ADAPTER}"

    @property
    def gate(self) -> BaseModel | None:
        return None

    def at(self, revision: str) -> Snapshot:
        return self.holding(*self._found(revision))

    def holding(self, version: ModelVersion, commit: VersionCommit) -> Snapshot:
        """The repository at a commit of a version."""
        return Snapshot(
            repo=self.name,
            head=_told(version, commit),
            library=PEFT,
            files=commit.files.all(),
            card={**_card(version, PEFT), "base_model": version.base_model.repo},
        )

    def branches(self) -> dict[str, str]:
        found = _branches(self.federation)
        newest = self._newest()
        return {name: newest[version.pk] for name, version in found.items()}

    def tags(self) -> dict[str, str]:
        newest = self._newest()
        versions = self.federation.versions.order_by("-number")
        return {str(version): newest[version.pk] for version in versions}

    def history(self, revision: str, *, after: int, most: int) -> list[Commit]:
        version, commit = self._found(revision)
        own = Q(version=version, number__lte=commit.number)
        earlier = Q(version__number__lt=version.number, version__is_baseline=False)
        of_line = VersionCommit.objects.filter(own | earlier, version__federation=self.federation)
        found = of_line.select_related("version").order_by("-version__number", "-number")
        return [_told(one.version, one) for one in found[after : after + most]]

    def _found(self, revision: str) -> tuple[ModelVersion, VersionCommit]:
        version = version_at(self.federation, revision)
        if version is None and SHORT.fullmatch(revision):
            revision = self._whole(revision)
            version = version_at(self.federation, revision)
        if version is None:
            raise RevisionNotFound(revision)
        return version, commit_at(version, revision)

    def _whole(self, digits: str) -> str:
        commits = VersionCommit.objects.filter(version__federation=self.federation)
        found = commits.filter(revision__startswith=digits).values_list("revision", flat=True)
        return found[0] if len(found.distinct()) == 1 else digits

    def _newest(self) -> dict[UUID, str]:
        """The digits of each version's newest commit."""
        commits = VersionCommit.objects.filter(version__federation=self.federation)
        return dict(commits.order_by("number").values_list("version", "revision"))


@dataclass(frozen=True, slots=True)
class MergedRepository:
    """The same versions, each worked into the weights of its base."""

    federation: Federation

    @property
    def name(self) -> str:
        return f"{self.federation.slug}/{MERGED}"

    @property
    def gate(self) -> BaseModel | None:
        return self.federation.base_model

    def at(self, revision: str) -> Snapshot:
        """Raises RevisionNotFound, NotMergeable."""
        version = self._version(revision)
        name_merged(version=version)  # so that its digits are known when they are asked for
        return self.holding(version)

    def holding(self, version: ModelVersion) -> MergedSnapshot:
        """The repository at a version."""
        base = version.base_model
        card = _card(version, TRANSFORMERS)
        return MergedSnapshot(
            repo=self.name,
            head=self._commit(version),
            library=TRANSFORMERS,
            files=base.files.all(),
            gate=base,
            card={**card, "base_model": base.repo, "base_model_relation": "merge"},
            version=version,
        )

    def branches(self) -> dict[str, str]:
        return {n: revision_of_merged(v) for n, v in _branches(self.federation).items()}

    def tags(self) -> dict[str, str]:
        versions = self.federation.versions.order_by("-number")
        return {str(version): revision_of_merged(version) for version in versions}

    def history(self, revision: str, *, after: int, most: int) -> list[Commit]:
        version = self._version(revision)
        earlier = self.federation.versions.filter(number__lt=version.number, is_baseline=False)
        both = [version, *earlier.order_by("-number")[: after + most]]
        return [self._commit(one) for one in both[after : after + most]]

    def _version(self, revision: str) -> ModelVersion:
        version = None if COMMIT.fullmatch(revision) else version_at(self.federation, revision)
        if version is None and (SHORT.fullmatch(revision) or COMMIT.fullmatch(revision)):
            merged = MergedModel.objects.filter(version__federation=self.federation)
            found = merged.filter(revision__startswith=revision).values_list("version", flat=True)
            versions = self.federation.versions.select_related("base_model", "federation")
            version = versions.filter(pk__in=found).first() if len(found) == 1 else None
        if version is None:
            raise RevisionNotFound(revision)
        return version

    def _commit(self, version: ModelVersion) -> Commit:
        return Commit(revision_of_merged(version), f"{version} merged", version.created_at)


def _branches(federation: Federation) -> dict[str, ModelVersion]:
    """Standing names and the federation's own, with what they mean today."""
    standing = {name: version_at(federation, name) for name in (MAIN, RELEASED, LATEST)}
    own = {alias.name: alias.version for alias in aliases_of(federation).select_related("version")}
    return {name: version for name, version in standing.items() if version} | own


def _told(version: ModelVersion, commit: VersionCommit) -> Commit:
    return Commit(
        commit.revision, f"{version} {CommitReason(commit.reason).label}", commit.created_at
    )


def _card(version: ModelVersion, library: str) -> dict[str, str]:
    task = version.plan["task"]["type"]
    is_of_tokens = library == TRANSFORMERS and version.plan["task"].get("pooling") == "mean"
    return {
        "license": version.base_model.licence.lower(),
        "library_name": library,
        "pipeline_tag": OF_TOKENS[task] if is_of_tokens else PIPELINES[task],
    }


LINES: Mapping[str, type[LineRepository | MergedRepository]] = {
    ADAPTER: LineRepository,
    MERGED: MergedRepository,
}
