"""Files that a power cut leaves either as they were or as they should be."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from hashlib import file_digest
from pathlib import Path


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


def made(folder: Path) -> Path:
    """Return the folder; make it, closed to others, where it is missing."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder
