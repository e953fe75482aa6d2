"""Where artifacts lie: a folder, or an S3-compatible bucket. Bytes are named by their SHA-256.

A name is given only to whole and durable bytes: they are written under another name in the same
file system, flushed, renamed, and the rename is flushed. Putting the same content twice is
putting it once. Nothing here knows who may read what.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Protocol
from uuid import uuid4

from django.conf import settings

from hub.catalogue.errors import ArtifactUnavailable
from hub.common.room import refusing_when_full

BLOCK_BYTES = 1 << 20
KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")
PARTS = "parts"  # files that have no name yet


class Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...
    def close(self) -> None: ...


class Store(Protocol):
    """Content-addressed bytes. All methods may block on disk or network."""

    def put(self, path: Path, sha256: str) -> None:
        """Take the file in under its digest, which the caller has computed; `path` is gone then.

        Raises:
            StorageFull: nothing is left behind, `path` is still there.
        """

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        """Open the bytes from `start` on; the caller closes.

        Raises:
            ArtifactUnavailable: they are not there.
        """

    def link(self, sha256: str, *, size_bytes: int, filename: str = "") -> str | None:
        """An address that opens these bytes to anybody for minutes; None: only the hub has them."""

    def local_path(self, sha256: str) -> Path:
        """A path to read from now; it may be gone tomorrow. Raises ArtifactUnavailable."""

    def exists(self, sha256: str) -> bool: ...

    def delete(self, sha256: str) -> None:
        """Forget the bytes; nothing happens if they are gone."""

    def stored(self) -> Iterator[tuple[str, int]]:
        """Digest and size of all that is there."""

    def stored_before(self, moment: datetime) -> Iterator[str]:
        """Digests of all that was put, or put again, before a moment."""

    def is_before(self, sha256: str, moment: datetime) -> bool:
        """Whether it is there and was last put before a moment."""

    def tidy(self, before: datetime) -> None:
        """Delete what crashes left half-written before a moment, and copies unused since."""


def store() -> Store:
    """The store that the settings name; one per process."""
    return _store(
        settings.BLOB_FOLDER,
        settings.BLOB_BUCKET,
        settings.BLOB_ENDPOINT,
        settings.BLOB_LINK_ENDPOINT,
        settings.BLOB_LINK_BYTES,
    )


@lru_cache(maxsize=4)
def _store(folder: Path, bucket: str, endpoint: str, links: str, least_bytes: int) -> Store:
    local = FolderStore(Path(folder))
    if not bucket:
        return local
    from hub.catalogue.blobs.buckets import Links, S3Store  # noqa: PLC0415  (builds on this module)

    return S3Store(
        bucket, endpoint, cache=local, links=Links(links, least_bytes) if links else None
    )


class FolderStore:
    """`<folder>/ab/cdef…`; everything that reads and writes it shares one file system."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def put(self, path: Path, sha256: str) -> None:
        target = self._path(sha256)
        with refusing_when_full():
            self._make_shard(target.parent)
            if not self._touched(target):
                part = self._within(path)
                flush(part)
                part.chmod(0o440)
                part.replace(target)
            flush(target.parent)
        path.unlink(missing_ok=True)

    def open(self, sha256: str, *, start: int = 0) -> Readable:
        try:
            file = self._path(sha256).open("rb", buffering=0)
        except FileNotFoundError as error:
            raise ArtifactUnavailable(f"{sha256} is not in the store") from error
        file.seek(start)
        return file

    def link(self, *_: object, **__: object) -> None:
        """A folder has no addresses."""

    def local_path(self, sha256: str) -> Path:
        path = self._path(sha256)
        if not path.is_file():
            raise ArtifactUnavailable(f"{sha256} is not in the store")
        return path

    def exists(self, sha256: str) -> bool:
        return self._path(sha256).is_file()

    def delete(self, sha256: str) -> None:
        self._path(sha256).unlink(missing_ok=True)

    def stored(self) -> Iterator[tuple[str, int]]:
        for sha256, path in self._files():
            with suppress(FileNotFoundError):
                yield sha256, path.stat().st_size

    def stored_before(self, moment: datetime) -> Iterator[str]:
        for sha256, path in self._files():
            if _is_older(path, moment):
                yield sha256

    def is_before(self, sha256: str, moment: datetime) -> bool:
        return _is_older(self._path(sha256), moment)

    def tidy(self, before: datetime) -> None:
        for path in self.folder.glob(f"{PARTS}/*"):
            if _is_older(path, before):
                path.unlink(missing_ok=True)

    def new_part(self) -> Path:
        """A path within this file system for bytes that have no name yet."""
        folder = self.folder / PARTS
        folder.mkdir(parents=True, exist_ok=True)
        return folder / uuid4().hex

    def _path(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256[2:]

    def _touched(self, target: Path) -> bool:
        """Make what is there young again, so that no sweep takes it for forgotten."""
        with suppress(FileNotFoundError):
            os.utime(target)
            return True
        return False

    def _files(self) -> Iterator[tuple[str, Path]]:
        """What we have put there; other files are somebody else's."""
        for path in self.folder.glob("[0-9a-f][0-9a-f]/*"):
            if sha256 := digest_in(f"{path.parent.name}/{path.name}"):
                yield sha256, path

    def _make_shard(self, shard: Path) -> None:
        if not shard.is_dir():
            shard.mkdir(parents=True, exist_ok=True)
            flush(self.folder)

    def _within(self, path: Path) -> Path:
        """The file itself, or a copy of it where it lies in another file system."""
        if path.stat().st_dev == self.folder.stat().st_dev:
            return path
        part = self.new_part()
        try:
            shutil.copyfile(path, part)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return part


def flush(path: Path) -> None:
    """Make a file's bytes, or a folder's names, survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(sha256: str) -> str:
    """Where an artifact lies, below the folder or in the bucket."""
    return f"{sha256[:2]}/{sha256[2:]}"


def digest_in(key: str) -> str:
    """The digest that a key was made of; empty for keys that are not ours."""
    return key.replace("/", "") if KEY.fullmatch(key) else ""


def _is_older(path: Path, moment: datetime) -> bool:
    with suppress(FileNotFoundError):
        return datetime.fromtimestamp(path.stat().st_mtime, UTC) < moment
    return False
