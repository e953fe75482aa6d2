"""The tasks that are not over, each in a folder of its own; it outlives every process.

offer.json      the leased task, on disk before anything else is done about it
worker          whose it is, of the agent's workers
attempts        how often a worker has begun it since it last got on
lock            held by the worker that is on it
checkpoint.safetensors   how far its training is, for whoever takes it up after a crash; of a task
                that was handed back it stays for a day, in `.aside`, in case the task comes again
progress.json   where it stands; numbers only
cancel          while it exists, the worker stops at its next micro-batch
update.safetensors, outcome.json   what came of it
upload.json     the hub's upload session
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from agent.files import lock, made, sync_file, write_whole
from federation.protocol import FailureIn, Progress, TaskOffer, UploadOut

LOCK_SECONDS = 1.0
ASIDE_SECONDS = 86_400.0


class Outcome(BaseModel):
    """What a task came to: the message to submit, or the failure to report. Fixed once written."""

    model_config = ConfigDict(frozen=True)

    submission: dict[str, Any] | None = None
    failure: FailureIn | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One journalled task."""

    folder: Path
    offer: TaskOffer

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the entry in a folder, None where it has been closed."""
        try:
            offer = TaskOffer.model_validate_json((folder / "offer.json").read_bytes())
        except FileNotFoundError:
            return None
        return cls(folder, offer)

    @property
    def worker(self) -> str:
        """The name of the worker that it was given to."""
        return self._text("worker") or ""

    def assign(self, worker: str) -> None:
        """Give it to a worker; not synced, since after a power cut any other will do."""
        (self.folder / "worker").write_text(worker)

    @property
    def limit_seconds(self) -> int:
        """How long it may take: what comes later than a round's deadline counts for nothing."""
        return self.offer.spec.plan.rounds.deadline_seconds

    @property
    def ends_at(self) -> float:
        """When it has taken too long, counted from its lease, in seconds since the epoch."""
        try:
            return (self.folder / "offer.json").stat().st_mtime + self.limit_seconds
        except FileNotFoundError:  # it was closed
            return float("inf")

    @property
    def update_file(self) -> Path:
        return self.folder / "update.safetensors"

    @property
    def checkpoint_file(self) -> Path:
        return self.folder / "checkpoint.safetensors"

    @property
    def outcome(self) -> Outcome | None:
        text = self._text("outcome.json")
        return Outcome.model_validate_json(text) if text else None

    def decide(self, outcome: Outcome) -> None:
        """Write down what the task came to; from here on it is only a matter of sending."""
        self._write("outcome.json", outcome.model_dump_json())

    @property
    def session(self) -> UploadOut | None:
        """The hub's upload session; once the upload is whole, it says `complete`."""
        text = self._text("upload.json")
        return UploadOut.model_validate_json(text) if text else None

    def keep_session(self, session: UploadOut) -> None:
        self._write("upload.json", session.model_dump_json())

    def drop_session(self) -> None:
        (self.folder / "upload.json").unlink(missing_ok=True)

    @property
    def progress(self) -> Progress:
        text = self._text("progress.json")
        return Progress.model_validate_json(text) if text else Progress(phase="fetching")

    def keep_progress(self, progress: Progress) -> None:
        """Replace the progress file; not synced, since only the living read it."""
        temporary = self.folder / ".progress.json"
        temporary.write_text(progress.model_dump_json())
        temporary.replace(self.folder / "progress.json")

    def begin_attempt(self) -> int:
        """Count one more attempt; return which it is, from 1."""
        attempt = int(self._text("attempts") or 0) + 1
        self._write("attempts", str(attempt))
        return attempt

    def forgive_attempts(self) -> None:
        """Begin to count anew: what was done is kept, so a worker that dies now got further."""
        (self.folder / "attempts").unlink(missing_ok=True)

    @property
    def is_cancelled(self) -> bool:
        return (self.folder / "cancel").exists() or not (self.folder / "offer.json").exists()

    def cancel(self) -> None:
        with suppress(FileNotFoundError):
            (self.folder / "cancel").touch()

    def resume(self) -> None:
        """Take back a cancellation that the last life of the agent did not see through."""
        (self.folder / "cancel").unlink(missing_ok=True)

    @contextmanager
    def worked_on(self, *, seconds: float = LOCK_SECONDS) -> Iterator[bool]:
        """Hold the task's lock; False where somebody else does."""
        with (self.folder / "lock").open("w") as file:
            yield lock(file, seconds=seconds)

    @property
    def is_worked_on(self) -> bool:
        with self.worked_on(seconds=0) as free:
            return not free

    def close(self) -> None:
        """Forget the task; without its offer the rest of the folder means nothing."""
        (self.folder / "offer.json").unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _text(self, name: str) -> str | None:
        try:
            return (self.folder / name).read_text()
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: str) -> None:
        write_whole(self.folder / name, content)


@dataclass(frozen=True, slots=True)
class Journal:
    """All journalled tasks of an agent."""

    folder: Path

    def entry(self, task_id: UUID) -> Entry | None:
        return Entry.read(self.folder / str(task_id))

    def entries(self) -> list[Entry]:
        """Every open task."""
        found = (Entry.read(folder) for folder in sorted(self.folder.iterdir()))
        return [entry for entry in found if entry]

    def sweep(self) -> None:
        """Remove what a crash left half-opened or half-closed; for the poller, at its start."""
        for folder in self.folder.iterdir():
            if folder != self._aside and Entry.read(folder) is None:
                shutil.rmtree(folder, ignore_errors=True)
        for file in self._aside.glob("*"):
            if time.time() - file.stat().st_mtime > ASIDE_SECONDS:
                file.unlink()

    def open(self, offer: TaskOffer) -> Entry:
        """Write a fresh offer down, before anything else is done about it."""
        entry = Entry(made(self.folder / str(offer.id)), offer)
        with suppress(FileNotFoundError):
            self._checkpoint_aside(entry).replace(entry.checkpoint_file)
        entry._write("offer.json", offer.model_dump_json())  # noqa: SLF001 (its own module)
        sync_file(self.folder)
        return entry

    def set_aside(self, entry: Entry) -> None:
        """Forget a task that was handed back, except for how far it is: it may come again."""
        made(self._aside)
        with suppress(FileNotFoundError):
            entry.checkpoint_file.replace(self._checkpoint_aside(entry))
        entry.close()

    def _checkpoint_aside(self, entry: Entry) -> Path:
        return self._aside / f"{entry.offer.id}.safetensors"

    @property
    def _aside(self) -> Path:
        return self.folder / ".aside"
