"""The folder of one instance: its lock, its secrets, and who serves it."""

from __future__ import annotations

import fcntl
import json
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from hub.embedded.errors import Unavailable
from hub.embedded.processes import started_at

STATE, LOCK = "services.json", "services.lock"


@dataclass(frozen=True, slots=True)
class Launcher:
    """The process that serves a folder, and the short folder of its sockets."""

    pid: int
    started: float
    sockets: str

    @classmethod
    def this_process(cls, sockets: Path) -> Self:
        return cls(pid=os.getpid(), started=started_at(os.getpid()) or 0, sockets=str(sockets))

    @property
    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started


def made(folder: Path) -> Path:
    """Return the folder's whole path; make it, closed to others, where it is missing."""
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / LOCK).touch(mode=0o600)
    except OSError as refusal:
        raise Unavailable(
            f"{folder} cannot be written ({refusal.strerror}): set FOEDUS_HOME to another folder."
        ) from refusal
    return folder


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one process at a time start and stop a folder's services."""
    with (folder / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def launcher_of(folder: Path) -> Launcher | None:
    """Return who says to serve a folder; None also for a state file cut short by a crash."""
    try:
        return Launcher(**json.loads((folder / STATE).read_bytes()))
    except (FileNotFoundError, ValueError, TypeError):
        return None


def announce(folder: Path, launcher: Launcher) -> None:
    write_whole(folder / STATE, json.dumps(asdict(launcher)))


def withdraw(folder: Path) -> None:
    (folder / STATE).unlink(missing_ok=True)


def kept_secret(path: Path, make: Callable[[], str]) -> str:
    """Return the secret in a file that only its owner can read; make it the first time."""
    with locked(path.parent):
        if not path.exists():
            write_whole(path, make())
        return path.read_text()


def kept_file(path: Path, make: Callable[[], str]) -> str:
    """Return the path of such a secret, for processes that need not have it themselves."""
    kept_secret(path, make)
    return str(path)


def write_whole(path: Path, text: str) -> None:
    """Write a private file (0600) so that a crash leaves the old one or the new one."""
    number, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(number, "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    Path(temporary).replace(path)
