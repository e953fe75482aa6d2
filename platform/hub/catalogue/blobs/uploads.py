"""Bytes on their way in: begin, append, complete, close. Each step may happen twice.

An offset is acknowledged when its bytes are with the operating system, so it survives any process;
the disk is flushed once, when the upload completes, and only then does anything count. What a
power cut takes from the file is found out by the next HEAD, which answers with a lower offset;
what it spoils is found out by the digest of the whole.
"""

from __future__ import annotations

import logging
import shutil
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from federation.failpoints import failpoint
from federation.protocol import UploadIn
from hub.catalogue.blobs.artifacts import FORGOTTEN, name_artifact
from hub.catalogue.blobs.parts import Part, drop_part, hashes, locked_part, part_bytes
from hub.catalogue.blobs.quotas import require_room
from hub.catalogue.blobs.storage import Readable, store
from hub.catalogue.errors import (
    DigestMismatch,
    OffsetMismatch,
    PartTooLarge,
    TooManyUploads,
    UploadFinished,
    UploadGone,
    UploadTooLarge,
)
from hub.catalogue.models import DraftFile, DraftState, Upload, UploadState
from hub.catalogue.selectors import artifacts_visible_to, open_uploads_of, upload_of
from hub.common.actors import HUB, Actor
from hub.common.errors import Invalid, StorageFull
from hub.organisations.models import Agent, AgentState

logger = logging.getLogger(__name__)

CURRENT = (UploadState.OPEN, UploadState.COMPLETE)
SWEEP_BATCH = 500


@transaction.atomic
def begin_upload(
    *,
    agent: Agent,
    task_id: UUID,
    message: UploadIn,
    limit_bytes: int,
    federation_id: UUID | None = None,
) -> Upload:
    """Announce bytes for a task; announced again, the same upload goes on.

    Content that the agent could have read from us is complete at once. Other content that we hold
    is sent again, because knowing a digest is not having the bytes.

    Raises:
        UploadTooLarge, TooManyUploads, QuotaReached, StorageFull: nothing is begun.
        Invalid: the same content was announced with another size.
    """
    _check_size(message.size_bytes, min(limit_bytes, settings.UPLOAD_LIMIT_BYTES))
    uploads = Upload.objects.filter(state__in=CURRENT)
    wanted = {"agent": agent, "task_id": task_id, "sha256": message.sha256}
    if not uploads.filter(**wanted).exists():
        _check_count(agent.organisation_id)
        require_room(
            size_bytes=message.size_bytes,
            organisation_id=agent.organisation_id,
            federation_id=federation_id,
        )
        check_disk(message.size_bytes)
    failpoint("W05", "before")
    columns = {
        "size_bytes": message.size_bytes,
        "federation_id": federation_id,
        "received_bytes": 0,
    }
    upload, made = uploads.get_or_create(**wanted, defaults=columns)
    transaction.on_commit(lambda: failpoint("W05", "after"))
    _check_same_size(upload.size_bytes, message)
    if made:
        _skip_if_known(upload, agent)
    return upload


def append(*, upload: Upload, offset: int, length: int, body: Readable) -> Upload:
    """Add a part of `length` bytes at the upload's offset; the last one completes it.

    Of two parts for one offset one counts.

    Raises:
        UploadGone, UploadFinished, OffsetMismatch: nothing is written.
        PartTooLarge: more than one request may bring; nothing is written.
        UploadTooLarge: more than was announced; the upload is closed.
        DigestMismatch: the whole is not what was announced; the upload is closed.
    """
    _refuse_closed(upload)
    if length > settings.UPLOAD_CHUNK_BYTES:
        raise PartTooLarge(f"send at most {settings.UPLOAD_CHUNK_BYTES} bytes at a time")
    if upload.state == UploadState.COMPLETE:
        return _nothing_more(upload, offset=offset, length=length)
    if offset + length > upload.size_bytes:
        _close(upload.pk, reason="more bytes came than were announced")
        raise UploadTooLarge(f"{upload.size_bytes} bytes were announced")
    _write_part(upload, offset=offset, length=length, body=body)
    return complete_upload(upload_id=upload.pk)


def complete_upload(*, upload_id: UUID) -> Upload:
    """Store the upload's bytes if all are in and right; otherwise it goes on as it was.

    Raises:
        DigestMismatch: the whole is not what was announced; the upload is closed.
    """
    upload = Upload.objects.select_related("agent").get(pk=upload_id)
    if upload.state != UploadState.OPEN or upload.offset < upload.size_bytes:
        return upload
    with locked_part(upload_id) as part:
        upload.refresh_from_db(fields=["state", "offset"])
        if not _is_ready(upload, part):
            return upload
        _store_part(upload, part)
        return _record(upload)


def resumed_upload(*, agent: Agent, upload_id: UUID) -> Upload:
    """Say where an upload goes on; completes it if only that was left undone.

    Raises:
        NotFound: it is not the agent's.
        UploadGone: it is closed.
    """
    upload = upload_of(agent, upload_id)
    _refuse_closed(upload)
    if upload.state == UploadState.OPEN and part_bytes(upload.pk) < upload.offset:
        with locked_part(upload.pk) as part:
            upload.refresh_from_db(fields=["state", "offset"])
            _is_ready(upload, part)
    return complete_upload(upload_id=upload.pk)


@transaction.atomic
def close_uploads(*, reason: str = "the task is over", actor: Actor = HUB, **of: UUID) -> int:
    """Close what is open for a task (`task_id`) or of an agent (`agent_id`); returns how many."""
    uploads = Upload.objects.select_for_update().filter(**of, state=UploadState.OPEN)
    still_open = list(uploads.order_by("pk"))
    for upload in still_open:
        _move_to_closed(upload, reason=reason, actor=actor)
    return len(still_open)


def sweep_uploads() -> int:
    """Close uploads that nobody touched for a while, or whose agent is gone; returns how many.

    Files that belong to no open upload are deleted after a day.
    """
    idle_since = timezone.now() - timedelta(seconds=settings.UPLOAD_IDLE_SECONDS)
    abandoned = Q(touched_at__lt=idle_since) | ~Q(agent__state=AgentState.ACTIVE)
    with transaction.atomic():
        some = list(
            Upload.objects.select_for_update(of=("self",), skip_locked=True)
            .filter(abandoned, state=UploadState.OPEN)
            .order_by("touched_at")[:SWEEP_BATCH]
        )
        for upload in some:
            _move_to_closed(upload, reason="nothing came for too long")
    _delete_strays()
    return len(some)


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise UploadTooLarge(f"{size_bytes} bytes announced, {limit_bytes} allowed")


def _check_same_size(announced: int, message: UploadIn) -> None:
    if announced != message.size_bytes:
        raise Invalid(f"{message.sha256} was announced with {announced} bytes")


def _check_count(organisation_id: UUID) -> None:
    """The count is not locked: requests at the same instant may overshoot by a few."""
    if open_uploads_of(organisation_id).count() >= settings.UPLOADS_PER_ORGANISATION:
        raise TooManyUploads(
            f"{settings.UPLOADS_PER_ORGANISATION} uploads are open", retry_after=60
        )


def check_disk(size_bytes: int) -> None:
    """What all open uploads have announced must fit, and leave the reserve to the database."""
    left = F("size_bytes") - F("offset")
    expected = Upload.objects.filter(state=UploadState.OPEN).aggregate(left=Sum(left))["left"] or 0
    folder = Path(settings.UPLOAD_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free - settings.DISK_RESERVE_BYTES
    if expected + size_bytes > free:
        raise StorageFull("there is no room for this upload at the moment", retry_after=300)


def _skip_if_known(upload: Upload, agent: Agent) -> None:
    known = artifacts_visible_to(agent).filter(pk=upload.sha256).first()
    if known is not None:
        if known.size_bytes != upload.size_bytes:
            raise Invalid(f"{known.sha256} has {known.size_bytes} bytes")
        upload.move_to(UploadState.COMPLETE, actor=agent.actor, offset=upload.size_bytes)


def _write_part(upload: Upload, *, offset: int, length: int, body: Readable) -> None:
    with locked_part(upload.pk) as part:
        upload.refresh_from_db(fields=["state", "offset"])
        _lower_offset(upload, part)
        _check_position(upload, offset)
        failpoint("W06", "before")
        received = part.receive(body, offset=offset, limit_bytes=length)
        failpoint("W06", "after")
        failpoint("W07", "before")
        _advance(upload, offset + received.size_bytes)
        failpoint("W07", "after")
        if received.running is not None:
            hashes.keep(upload.pk, upload.offset, received.running)


def _nothing_more(upload: Upload, *, offset: int, length: int) -> Upload:
    """Asking for the end of a complete upload is no mistake; sending it more is."""
    if length:
        raise UploadFinished("all bytes are in")
    _check_position(upload, offset)
    return upload


def _check_position(upload: Upload, offset: int) -> None:
    _refuse_closed(upload)
    if offset != upload.offset:
        raise OffsetMismatch(f"go on at {upload.offset}", offset=upload.offset)


def _refuse_closed(upload: Upload) -> None:
    if upload.state == UploadState.CLOSED:
        raise UploadGone("begin it again if the task is still yours")


def _advance(upload: Upload, offset: int) -> None:
    """Move the row's offset unless the upload was closed meanwhile."""
    moved = Upload.objects.filter(
        pk=upload.pk, offset=upload.offset, state=UploadState.OPEN
    ).update(
        offset=offset,
        received_bytes=F("received_bytes") + max(0, offset - upload.offset),
        touched_at=Now(),
    )
    if not moved:
        raise UploadGone("it was closed just now")
    upload.offset = offset


def _lower_offset(upload: Upload, part: Part) -> None:
    """Believe the file where it is shorter than the row says, unless all of it is in the store."""
    left = part.size_bytes
    if upload.state == UploadState.OPEN and left < upload.offset and not _is_stored(upload):
        logger.warning("upload lost bytes", extra={"upload": upload.pk, "left": left})
        _advance(upload, left)


def _is_stored(upload: Upload) -> bool:
    """Whether a crash came between the store and the row, after all bytes were in."""
    return upload.offset == upload.size_bytes and store().exists(upload.sha256)


def _is_ready(upload: Upload, part: Part) -> bool:
    """Whether all bytes are there, in the file or in the store."""
    _lower_offset(upload, part)
    return upload.state == UploadState.OPEN and upload.offset == upload.size_bytes


def _store_part(upload: Upload, part: Part) -> None:
    """Move the file under its digest; after a crash it may be there already."""
    if part.size_bytes < upload.size_bytes:
        drop_part(upload.pk)
        return
    if part.sha256(upload.size_bytes) != upload.sha256:
        _close(upload.pk, reason="the bytes are not those that were announced")
        raise DigestMismatch(f"the whole is not {upload.sha256}")
    failpoint("W08", "before")
    store().put(part.path, upload.sha256)
    hashes.forget(upload.pk)


@transaction.atomic
def _record(upload: Upload) -> Upload:
    """Write that the bytes are stored; another request may have done so."""
    uploads = Upload.objects.select_for_update(of=("self",)).select_related("agent")
    locked = uploads.get(pk=upload.pk)
    if locked.state == UploadState.OPEN:
        name_artifact(sha256=locked.sha256, size_bytes=locked.size_bytes)
        locked.move_to(UploadState.COMPLETE, actor=locked.agent.actor)
        transaction.on_commit(lambda: failpoint("W08", "after"))
    _refuse_closed(locked)
    return locked


@transaction.atomic
def _close(upload_id: UUID, *, reason: str) -> None:
    upload = Upload.objects.select_for_update().get(pk=upload_id)
    if upload.state == UploadState.OPEN:
        _move_to_closed(upload, reason=reason)


def _move_to_closed(upload: Upload, *, reason: str, actor: Actor = HUB) -> None:
    upload.move_to(UploadState.CLOSED, actor=actor, reason=reason)
    transaction.on_commit(lambda: drop_part(upload.pk), robust=True)


def _delete_strays() -> None:
    """Files of a day ago that no open upload owns: a crash came between row and file."""
    folder = Path(settings.UPLOAD_FOLDER)
    before = (timezone.now() - FORGOTTEN).timestamp()
    paths = folder.iterdir() if folder.is_dir() else ()
    old = {path.name: path for path in paths if path.stat().st_mtime < before}
    uploads = Upload.objects.filter(state=UploadState.OPEN).values_list("pk", flat=True)
    drafted = DraftFile.objects.filter(draft__state=DraftState.OPEN).values_list("pk", flat=True)
    for name in old.keys() - {str(pk) for pk in (*uploads, *drafted)}:
        old[name].unlink(missing_ok=True)
