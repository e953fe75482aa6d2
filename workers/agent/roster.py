"""Which workers an agent has, on this machine or others: each puts up a sign in its folder.

workers/<name>.lock   held by a worker for as long as it lives; its name is «device@host»
workers/<name>.json   what it found its device to be, from when it can work

Nothing is configured: who shares the folder and the broker is one of them.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from agent.errors import AlreadyRunning
from agent.files import is_locked, lock, write_whole
from agent.home import Home

PATIENCE_SECONDS = 10.0  # for a worker of this name that is about to be gone
KEPT_SECONDS = 86400.0  # what a worker leaves, whose host has another name at its next start


def name_of(device: str) -> str:
    """What the worker of this machine's device is called; its queue bears the same name."""
    return f"{device}@{socket.gethostname()}"


@dataclass(frozen=True, slots=True)
class Post:
    """One worker's place."""

    folder: Path
    name: str

    @classmethod
    def of(cls, home: Home, name: str) -> Post:
        return cls(home.workers, name)

    @contextmanager
    def manned(self) -> Iterator[None]:
        """Be this worker for as long as the block lasts. Raises AlreadyRunning."""
        with self._lock_file.open("w") as file:
            if not lock(file, seconds=PATIENCE_SECONDS):
                raise AlreadyRunning(f"A worker {self.name} runs for this agent already.")
            self._facts_file.unlink(missing_ok=True)
            yield

    def describe(self, device: str) -> None:
        """Write down what the device is; from here on the worker is ready."""
        write_whole(self._facts_file, json.dumps({"device": device}))

    @property
    def is_manned(self) -> bool:
        return is_locked(self._lock_file)

    @property
    def device(self) -> str:
        """What the worker trains on; empty while it loads its libraries."""
        try:
            return str(json.loads(self._facts_file.read_text())["device"])
        except FileNotFoundError:
            return ""

    def sweep(self) -> None:
        """Remove what a worker has left that was not started for long."""
        try:
            age = time.time() - self._lock_file.stat().st_mtime
        except FileNotFoundError:
            return
        if age > KEPT_SECONDS and not self.is_manned:
            self._facts_file.unlink(missing_ok=True)
            self._lock_file.unlink(missing_ok=True)

    @property
    def _lock_file(self) -> Path:
        return self.folder / f"{self.name}.lock"

    @property
    def _facts_file(self) -> Path:
        return self.folder / f"{self.name}.json"


def posts(home: Home) -> list[Post]:
    """Every place that a worker has had, by name."""
    return [Post(home.workers, file.stem) for file in sorted(home.workers.glob("*.lock"))]


def manned(home: Home) -> list[Post]:
    """Those of the workers that live."""
    return [post for post in posts(home) if post.is_manned]
