"""Merged models: wanted, made once by a job, and given up when room is short."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import QuerySet, Sum
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.catalogue.errors import BeingMerged, NotMergeable
from hub.catalogue.models import Artifact, MergedFile, MergedModel, MergedState, ModelVersion
from hub.common.actors import HUB, Actor
from hub.common.errors import NotFound
from hub.dispatch import Job, enqueue

logger = logging.getLogger(__name__)

PROMPT = "prompt_tuning"  # the type of adapter that changes no weight
MOST_ATTEMPTS = 5
IN_USE = timedelta(hours=24)  # what was asked for since stays
NOTED_EVERY = timedelta(hours=1)
BYTES_A_SECOND = 50_000_000  # of the base, that a worker merges without haste
SHORTEST, LONGEST = 5, 120  # seconds that those who ask are told to wait


def revision_of_merged(version: ModelVersion) -> str:
    """The 40 digits of a version's merged model, known before it is made."""
    told = f"merged {version.pk} {version.adapter_id}"
    return hashlib.sha256(told.encode()).hexdigest()[:40]


def require_merged(version: ModelVersion) -> MergedModel:
    """The merged model of a version, for somebody who wants its files now.

    Raises:
        NotMergeable: there can be none, or making it failed.
        BeingMerged: it is made now; `retry_after` says when to ask again.
    """
    found = want_merged(version=version)
    if found.state == MergedState.FAILED:
        raise NotMergeable(found.failure_detail)
    if found.state != MergedState.READY:
        raise BeingMerged(
            _("%(version)s is being merged") % {"version": version}, retry_after=_patience(version)
        )
    _note_use(found)
    return found


def changes_weights(version: ModelVersion) -> bool:
    """Whether there is anything to merge: a learnt prompt changes none."""
    return bool(version.plan.get("adapter", {}).get("type") != PROMPT)


def name_merged(*, version: ModelVersion) -> MergedModel:
    """The row of a version's merged model, without any wish to have it made.

    Raises:
        NotMergeable: the adapter changes no weight.
    """
    if not changes_weights(version):
        raise NotMergeable(
            _(
                "The prompt that %(version)s has learnt stands before the text and "
                "changes no weight: load the base and the adapter instead."
            )
            % {"version": version}
        )
    found, _is_new = MergedModel.objects.get_or_create(
        version=version,
        defaults={"revision": revision_of_merged(version), "used_at": timezone.now()},
    )
    return found


@transaction.atomic
def want_merged(*, version: ModelVersion, again: bool = False, actor: Actor = HUB) -> MergedModel:
    """See to it that a merged model is there or being made. Wanted twice, it is made once.

    What failed is only tried `again` on purpose.

    Raises:
        NotMergeable: the adapter changes no weight.
    """
    found = name_merged(version=version)
    wakeable = {MergedState.ABSENT, *([MergedState.FAILED] if again else [])}
    if found.state not in wakeable:
        return found
    found = _lock(found.pk)
    if found.state in wakeable:
        found.move_to(
            MergedState.QUEUED,
            actor=actor,
            data=_names(found),
            attempts=0,
            used_at=timezone.now(),
            failure_code="",
            failure_detail="",
        )
        enqueue(Job.MERGE_MODEL, str(found.pk))
    return found


@transaction.atomic
def begin_merge(*, merged_id: UUID) -> MergedModel | None:
    """What a worker needs for it; nothing where it is done. Two at once do it twice, the same."""
    found = _lock(merged_id)
    if found.state != MergedState.QUEUED:
        return None
    if found.attempts >= MOST_ATTEMPTS:
        _fail(found, code="gave_up", reason=f"merging died {MOST_ATTEMPTS} times")
        return None
    found.attempts += 1
    found.save(update_fields=["attempts"])
    return found


@transaction.atomic
def record_merge(*, merged_id: UUID, files: Mapping[str, Artifact]) -> None:
    """Keep the files of a merged model; recorded again, the first stand."""
    found = _lock(merged_id)
    if found.state != MergedState.QUEUED:
        return
    MergedFile.objects.bulk_create(
        MergedFile(merged=found, path=path, artifact=artifact)
        for path, artifact in sorted(files.items())
    )
    found.move_to(MergedState.READY, data=_names(found), used_at=timezone.now())


@transaction.atomic
def fail_merge(*, merged_id: UUID, code: str, reason: str) -> None:
    """There is no merged model of this version."""
    found = _lock(merged_id)
    if found.state == MergedState.QUEUED:
        _fail(found, code=code, reason=reason)


def _fail(found: MergedModel, *, code: str, reason: str) -> None:
    found.move_to(
        MergedState.FAILED,
        reason=reason,
        data=_names(found),
        failure_code=code,
        failure_detail=reason[:500],
    )


def evict_merged(*, limit_bytes: int | None = None) -> int:
    """Give up merged models that nobody asks for, until the rest fits; returns how many.

    The longest unused go first. Their bytes go with the next sweep of artifacts.
    """
    limit = settings.MERGED_LIMIT_BYTES if limit_bytes is None else limit_bytes
    ready = MergedModel.objects.filter(state=MergedState.READY).order_by("-used_at", "pk")
    kept = evicted = 0
    for pk, used_at, size in ready.annotate(size=Sum("files__artifact__size_bytes")).values_list(
        "pk", "used_at", "size"
    ):
        kept += size
        if kept > limit and used_at < timezone.now() - IN_USE:
            kept -= size
            evicted += _evict(pk)
    if evicted:
        logger.info("merged models given up", extra={"count": evicted})
    return evicted


@transaction.atomic
def _evict(merged_id: UUID) -> bool:
    found = _lock(merged_id)
    if found.state != MergedState.READY or found.used_at >= timezone.now() - IN_USE:
        return False
    found.files.all().delete()
    found.move_to(MergedState.ABSENT, data=_names(found))
    return True


def unmerged() -> QuerySet[MergedModel]:
    """Those that are waiting to be made."""
    return MergedModel.objects.filter(state=MergedState.QUEUED)


def _note_use(found: MergedModel) -> None:
    """To the hour, so that a download of many files is not as many writes."""
    now = timezone.now()
    if found.used_at < now - NOTED_EVERY:
        MergedModel.objects.filter(pk=found.pk).update(used_at=now)


def _patience(version: ModelVersion) -> int:
    size = version.base_model.files.aggregate(size=Sum("artifact__size_bytes"))["size"] or 0
    return int(min(LONGEST, SHORTEST + size / BYTES_A_SECOND))


def _lock(merged_id: UUID) -> MergedModel:
    rows = MergedModel.objects.select_for_update(of=("self",)).select_related(
        "version__federation", "version__base_model"
    )
    found = rows.filter(pk=merged_id).first()
    if found is None:
        raise NotFound("no such merged model")
    return found


def _names(found: MergedModel) -> dict[str, int]:
    return {"version": found.version.number}
