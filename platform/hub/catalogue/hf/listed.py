"""All repositories that somebody may see, each as it is today, in a few queries."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Case, QuerySet, Value, When

from hub.catalogue.hf.repositories import BASES, BaseRepository, LineRepository, MergedRepository
from hub.catalogue.hf.snapshots import Snapshot
from hub.catalogue.models import MergedModel, MergedState, ModelVersion, VersionCommit, VersionState
from hub.catalogue.selectors import Reader, base_models, federations_read_by
from hub.catalogue.versions.aliases import MAIN


def snapshots_for(reader: Reader, *, author: str = "", search: str = "") -> list[Snapshot]:
    """Base models, lines of versions, and what of them is merged; the newest first.

    `author`: only what is before the slash. `search`: only names with this in them.
    """
    bases = base_models() if author in {"", BASES} else base_models().none()
    found = [BaseRepository(base).at(MAIN) for base in bases]
    found += _lines(_mains(reader, author))
    wanted = [one for one in found if search.lower() in one.repo]
    return sorted(wanted, key=lambda one: one.head.made_at, reverse=True)


def _lines(versions: QuerySet[ModelVersion]) -> Iterator[Snapshot]:
    found = list(versions)
    commits = VersionCommit.objects.filter(version__in=found).order_by("version_id", "-number")
    newest = {commit.version_id: commit for commit in commits.distinct("version_id")}
    ready = MergedModel.objects.filter(version__in=found, state=MergedState.READY)
    merged = set(ready.values_list("version", flat=True))
    for version in found:
        yield LineRepository(version.federation).holding(version, newest[version.pk])
        if version.pk in merged:
            yield MergedRepository(version.federation).holding(version)


def _mains(reader: Reader, author: str) -> QuerySet[ModelVersion]:
    """What `main` means in each federation: the released version, else the latest in use."""
    federations = federations_read_by(reader)
    if author:
        federations = federations.filter(slug=author)
    line = ModelVersion.objects.filter(federation__in=federations, is_baseline=False)
    released_first = Case(When(state=VersionState.RELEASED, then=Value(0)), default=Value(1))
    return (
        line.exclude(state=VersionState.RETIRED)
        .order_by("federation_id", released_first, "-number")
        .distinct("federation_id")
        .select_related("federation", "base_model")
    )
