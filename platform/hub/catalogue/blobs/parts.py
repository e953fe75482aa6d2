"""The file of an upload in progress: written at an offset, under a lock, hashed on the way.

The lock is the file's own (`flock`): it dies with the process that holds it, and no database
transaction stays open while bytes are copied. Under ASGI a request's body has come whole before the
view runs, so the lock is never held across the network. Web processes of several machines
must share UPLOAD_FOLDER by a file system that has such locks.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from django.conf import settings

from hub.catalogue.blobs.storage import BLOCK_BYTES, Readable
from hub.common.bodies import Body, Continued
from hub.common.room import refusing_when_full

if TYPE_CHECKING:
    from hashlib import _Hash


class RunningHashes:
    """What this process has hashed of uploads, so that no byte is read back to be hashed.

    A hash cannot be stored, so after a restart, or when parts went to several processes, the file
    is hashed once in the end.
    """

    def __init__(self, limit: int = 512) -> None:
        self._limit = limit
        self._lock = threading.Lock()
        self._kept: OrderedDict[UUID, tuple[int, _Hash]] = OrderedDict()

    def up_to(self, upload_id: UUID, offset: int) -> _Hash | None:
        """A hash of the first `offset` bytes, to go on with; None if this process has none."""
        if offset == 0:
            return hashlib.sha256()
        with self._lock:
            known, kept = self._kept.get(upload_id, (None, None))
            return kept.copy() if kept is not None and known == offset else None

    def lent(self, upload_id: UUID, offset: int) -> Continued | None:
        """The same before the request has been looked at: what comes is added to a copy."""
        with self._lock:
            known, kept = self._kept.get(upload_id, (None, None))
            return Continued(kept, kept.copy()) if kept is not None and known == offset else None

    def given_back(self, upload_id: UUID, offset: int, lent: Continued | None) -> _Hash | None:
        """What became of it, if the upload is still where it was when it was lent."""
        with self._lock:
            known, kept = self._kept.get(upload_id, (None, None))
            is_same = lent is not None and known == offset and kept is lent.found
            return lent.running if lent is not None and is_same else None

    def keep(self, upload_id: UUID, offset: int, running: _Hash) -> None:
        with self._lock:
            self._kept[upload_id] = (offset, running)
            self._kept.move_to_end(upload_id)
            if len(self._kept) > self._limit:
                self._kept.popitem(last=False)

    def forget(self, upload_id: UUID) -> None:
        with self._lock:
            self._kept.pop(upload_id, None)


hashes = RunningHashes()


@dataclass(frozen=True, slots=True)
class Received:
    """What came in with one request."""

    size_bytes: int
    running: _Hash | None  # of the whole file up to here


@dataclass(slots=True)
class Part:
    """The open and locked file of an upload."""

    upload_id: UUID
    path: Path
    file: FileIO

    @property
    def size_bytes(self) -> int:
        return os.fstat(self.file.fileno()).st_size

    def receive(self, body: Readable, *, offset: int, limit_bytes: int) -> Received:
        """Write at most `limit_bytes` of a body at an offset; what lay there before is gone.

        Raises:
            StorageFull: some may have been written; it does not count before the offset moves.
        """
        hashed = self._hashed(body, offset, limit_bytes)
        if hashed is not None:
            return Received(self._write(body, offset, limit_bytes, None), hashed)
        running = hashes.up_to(self.upload_id, offset)
        return Received(self._write(body, offset, limit_bytes, running), running)

    def _hashed(self, body: Readable, offset: int, limit_bytes: int) -> _Hash | None:
        """The hash up to the body's end, where all that came is wanted and was hashed so."""
        if not isinstance(body, Body) or body.size_bytes != limit_bytes:
            return None
        if offset == 0:
            return body.sha256.copy()
        return hashes.given_back(self.upload_id, offset, body.continued)

    def _write(self, body: Readable, offset: int, limit_bytes: int, running: _Hash | None) -> int:
        """Copy the body to its place, and to the hash; returns how much there was."""
        received = 0
        with refusing_when_full():
            self.file.seek(offset)
            while block := body.read(min(BLOCK_BYTES, limit_bytes - received)):
                if running is not None:
                    running.update(block)
                _write(self.file, block)
                received += len(block)
        return received

    def sha256(self, size_bytes: int) -> str:
        """Of the whole file, which has this size."""
        running = hashes.up_to(self.upload_id, size_bytes)
        if running is not None:
            return running.hexdigest()
        self.file.seek(0)
        return hashlib.file_digest(self.file, "sha256").hexdigest()


def part_path(upload_id: UUID) -> Path:
    return Path(settings.UPLOAD_FOLDER) / str(upload_id)


def part_bytes(upload_id: UUID) -> int:
    """How many bytes the file has; 0 where there is none."""
    try:
        return part_path(upload_id).stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def locked_part(upload_id: UUID) -> Iterator[Part]:
    """Hold the file of an upload; whoever else wants it waits."""
    path = part_path(upload_id)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = Part(upload_id, path, _locked(path))
    try:
        yield part
    finally:
        part.file.close()


def _locked(path: Path) -> FileIO:
    """The file that has this name once it is ours: who waited may hold one that had it before."""
    while True:
        file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _write(file: FileIO, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[file.write(rest) :]


def drop_part(upload_id: UUID) -> None:
    hashes.forget(upload_id)
    part_path(upload_id).unlink(missing_ok=True)
