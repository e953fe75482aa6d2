"""Letting go of what nothing names: first the rows of artifacts, then bytes without a row.

A foreign key that protects its artifact holds it, whatever table it belongs to. A row that would
go with its artifact (a grant) does not: it says who may read, not that somebody needs it.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from itertools import islice

from django.db import transaction
from django.db.models import CASCADE, Exists, ForeignKey, ManyToOneRel, OuterRef, Q, QuerySet
from django.utils import timezone

from hub.catalogue.blobs.artifacts import BATCH, FORGOTTEN
from hub.catalogue.blobs.storage import store
from hub.catalogue.models import Artifact, Upload, UploadState

logger = logging.getLogger(__name__)

UPLOADS_KEPT = timedelta(days=7)  # a complete upload whose update is still to be submitted


def holders() -> list[ForeignKey[Artifact, Artifact]]:
    """Every foreign key that keeps artifacts, in all tables there are."""
    relations = Artifact._meta.get_fields(include_hidden=True)  # noqa: SLF001  (Django's own way)
    keys = (relation.field for relation in relations if isinstance(relation, ManyToOneRel))
    return [key for key in keys if key.remote_field.on_delete is not CASCADE]


def unheld(now: datetime) -> QuerySet[Artifact]:
    """Artifacts that nothing holds."""
    awaited = Upload.objects.filter(
        sha256=OuterRef("pk"), state=UploadState.COMPLETE, touched_at__gt=now - UPLOADS_KEPT
    )
    is_free = ~Q(Exists(awaited))
    for key in holders():
        named = key.model._default_manager.filter(**{key.name: OuterRef("pk")})  # noqa: SLF001
        is_free &= ~Q(Exists(named))
    return Artifact.objects.filter(is_free)


def sweep_artifacts() -> int:
    """Delete rows that nothing holds and whose bytes nobody has brought for a day.

    Returns how many. Their bytes are without a row then, and `sweep_store` deletes them.
    """
    now = timezone.now()
    old = unheld(now).filter(taken_at__lt=now - FORGOTTEN)
    some = old.order_by("taken_at").values_list("pk", flat=True)[:BATCH]
    deleted = sum(_let_go(sha256, now) for sha256 in list(some))
    if deleted:
        logger.info("artifacts that nothing names deleted", extra={"count": deleted})
    return deleted


@transaction.atomic
def _let_go(sha256: str, now: datetime) -> bool:
    """Look again with the row locked: who is about to name it waits, or has and is seen."""
    locked = Artifact.objects.select_for_update(skip_locked=True).filter(
        pk=sha256, taken_at__lt=now - FORGOTTEN
    )
    if not locked or not unheld(now).filter(pk=sha256).exists():
        return False
    uploads = Upload.objects.select_for_update().filter(sha256=sha256, state=UploadState.COMPLETE)
    for upload in uploads.order_by("pk"):
        upload.move_to(UploadState.CLOSED, reason="nothing was made of it")
    Artifact.objects.get(pk=sha256).delete()
    return True


def sweep_store() -> int:
    """Delete what no row names and nobody has put for a day; returns how many.

    This is what a crash leaves between the rename and the row, and what `sweep_artifacts` does.
    """
    before = timezone.now() - FORGOTTEN
    store().tidy(before)
    old = store().stored_before(before)
    deleted = 0
    while some := list(islice(old, BATCH)):
        named = Artifact.objects.filter(pk__in=some).values_list("pk", flat=True)
        deleted += sum(_forget(sha256, before) for sha256 in set(some).difference(named))
    if deleted:
        logger.info("forgotten bytes deleted", extra={"count": deleted})
    return deleted


def _forget(sha256: str, before: datetime) -> bool:
    """Hold the name in a transaction while the bytes are deleted: nobody adopts them meanwhile."""
    with transaction.atomic():
        _, made = Artifact.objects.get_or_create(sha256=sha256, defaults={"size_bytes": 0})
        forgotten = made and store().is_before(sha256, before)
        if forgotten:
            store().delete(sha256)
        transaction.set_rollback(made)
    return forgotten
