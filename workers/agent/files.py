"""Files that a power cut leaves either as they were or as they should be."""

from __future__ import annotations

import fcntl
import os
import tempfile
import time
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path
from typing import IO


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a private file (0600): temporary name, fsync, rename, fsync of the folder."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        settle(Path(temporary), path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise


def settle(temporary: Path, path: Path) -> None:
    """Give a finished file its name, for good."""
    temporary.replace(path)
    sync_file(path.parent)


def sync_file(path: Path) -> None:
    """Have what was written to a file, or the names in a folder, survive a power cut."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def lock(file: IO[str], *, seconds: float) -> bool:
    """Try for a while to lock an open file; the lock goes with the file or with its process.

    Whoever only looks whether it is locked holds it for an instant: hence the while.
    """
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= give_up_at:
                return False
            time.sleep(0.02)
        else:
            return True


def is_locked(path: Path) -> bool:
    """Whether somebody has locked a file. Looking is shared: it never seems a lock to others."""
    try:
        with path.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def made(folder: Path) -> Path:
    """Return the folder; make it, closed to others, where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
