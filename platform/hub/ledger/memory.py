"""What the signer remembers of each ledger, in a folder that nobody else writes to.

The database can be changed, or put back to what it was; this says what was signed before.
"""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from federation.ledger import merkle
from federation.ledger.entries import NO_ENTRY


@dataclass(frozen=True, slots=True)
class Known:
    """A ledger when it was signed last; `read`: up to which entry its past was read again."""

    size: int = 0
    edge: tuple[str, ...] = ()  # hex: the perfect subtrees it consists of, the largest first
    last: str = NO_ENTRY.hex()  # leaf hash of the newest entry
    read: int = 0

    def tree(self) -> merkle.CompactRange:
        return merkle.CompactRange(self.size, [bytes.fromhex(step) for step in self.edge])

    @property
    def root(self) -> bytes:
        return self.tree().root


@contextmanager
def alone(ledger: UUID) -> Iterator[None]:
    """Let one thread of one process at a time sign a ledger."""
    folder = _folder()
    with (folder / f"{ledger}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def recall(ledger: UUID) -> Known | None:
    """What was signed last; None where nothing is remembered."""
    try:
        said: dict[str, Any] = json.loads(_file(ledger).read_bytes())
    except FileNotFoundError:
        return None
    return Known(said["size"], tuple(said["edge"]), said["last"], said["read"])


def remember(ledger: UUID, known: Known) -> None:
    """Durable when this returns: a crash leaves what was there before, or this."""
    folder = _folder()
    said = {"root": known.root.hex(), **asdict(known)}  # the root for people
    number, temporary = tempfile.mkstemp(dir=folder, prefix=f".{ledger}-")
    with os.fdopen(number, "w") as file:
        file.write(json.dumps(said))
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(_file(ledger))
    _flush(folder)


def set_aside(ledger: UUID) -> Known | None:
    """Forget what was signed last, and return it; the file stays under another name."""
    known = recall(ledger)
    if known:
        number = 1 + len(list(_folder().glob(f"{ledger}-*.json")))
        _file(ledger).replace(_folder() / f"{ledger}-{number}.json")
        _flush(_folder())
    return known


def _folder() -> Path:
    folder = Path(settings.LEDGER_FOLDER)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _file(ledger: UUID) -> Path:
    return _folder() / f"{ledger}.json"


def _flush(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
