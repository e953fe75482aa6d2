"""Taking bytes in for good: the store first, then the row that names them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from hub.catalogue.blobs.storage import BLOCK_BYTES, sha256_of, store
from hub.catalogue.errors import ArtifactUnavailable
from hub.catalogue.models import Artifact, Grant
from hub.common.room import refusing_when_full
from hub.federations.models import Federation

FORGOTTEN = timedelta(hours=24)  # what no row names for so long is swept
TAKEN = timedelta(hours=1)  # how exactly it is known when bytes were last brought
BATCH = 500


def adopt_file(
    *, path: Path, sha256: str | None = None, federation: Federation | None = None
) -> Artifact:
    """Move a file into the store and name it; the same bytes again are the same artifact.

    `sha256` spares hashing where the caller has just done it. The participants of `federation`
    may read the artifact then.

    Raises:
        StorageFull: the file is still where it was.
    """
    size_bytes = path.stat().st_size
    sha256 = sha256 or sha256_of(path)
    store().put(path, sha256)
    artifact = name_artifact(sha256=sha256, size_bytes=size_bytes)
    if federation is not None:
        grant(artifacts=[artifact], federation=federation)
    return artifact


def adopt_copy(*, path: Path) -> Artifact:
    """Take a copy of a file in, and leave the file alone. What is hashed is the copy."""
    copy = scratch_path()
    digest = hashlib.sha256()
    try:
        with refusing_when_full(), path.open("rb") as source, copy.open("xb") as target:
            while block := source.read(BLOCK_BYTES):
                digest.update(block)
                target.write(block)
        return adopt_file(path=copy, sha256=digest.hexdigest())
    finally:
        copy.unlink(missing_ok=True)


def adopt_bytes(*, content: bytes) -> Artifact:
    """Take a small file in that we have just made."""
    path = scratch_path()
    try:
        with refusing_when_full():
            path.write_bytes(content)
        return adopt_file(path=path, sha256=hashlib.sha256(content).hexdigest())
    finally:
        path.unlink(missing_ok=True)


@transaction.atomic
def name_artifact(*, sha256: str, size_bytes: int) -> Artifact:
    """Write the row for bytes that are in the store.

    Raises:
        ArtifactUnavailable: a sweep took them just before; put them again.
    """
    now = timezone.now()
    # Who adopts what nothing names yet is about to name it: the sweep shall know that it is new.
    Artifact.objects.filter(pk=sha256, taken_at__lt=now - TAKEN).update(taken_at=now)
    artifact, made = Artifact.objects.get_or_create(
        sha256=sha256, defaults={"size_bytes": size_bytes}
    )
    # The sweep holds the same name while it deletes, so what is there now stays.
    if made and not store().exists(sha256):
        raise ArtifactUnavailable(f"{sha256} has just been swept", retry_after=1)
    return artifact


def grant(*, artifacts: Iterable[Artifact], federation: Federation) -> None:
    """Let the participants of a federation read artifacts; granted twice is granted once."""
    Grant.objects.bulk_create(
        [Grant(artifact=artifact, federation=federation) for artifact in artifacts],
        ignore_conflicts=True,
    )


def scratch_path() -> Path:
    """A new name beside the uploads, for bytes on their way into the store."""
    folder = Path(settings.UPLOAD_FOLDER)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{uuid4()}.part"
