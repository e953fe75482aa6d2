"""A worker's and beat's signs of life: a thread that writes a row every few seconds.

Not Celery's own events and inspection: a solo worker answers nobody while it computes, which is
when one wants to know, and rows are still there when the process is not.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import threading
import traceback
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from celery import signals
from django.db import DatabaseError, InterfaceError, connection
from psycopg_pool import PoolTimeout

from hub.common.errors import NotFound
from hub.operations import life
from hub.operations.models import PULSE_SECONDS

logger = logging.getLogger(__name__)

AWAY = (DatabaseError, InterfaceError, PoolTimeout)
HEAVY = "compute."  # jobs that may take their worker with them: told before they begin
MOST_ARGUMENT = 200


class Life:
    """What this process is at, and how it tells."""

    def __init__(self) -> None:
        self.name = ""
        self._lock = threading.Lock()
        self._told = threading.Lock()  # one at a time writes, so that no old word comes last
        self._over = threading.Event()
        self._doing: dict[str, dict[str, Any]] = {}
        self._done = self._failed = self._dropped = 0

    def begin(self, name: str) -> None:
        self.name = name
        _written(lambda: life.begin(name=name, pid=os.getpid()))
        threading.Thread(target=self._beat, name="signs of life", daemon=True).start()

    def end(self) -> None:
        if self.name:
            self._over.set()
            _written(lambda: life.end(name=self.name))

    def started(self, id: str, job: str, arguments: Any) -> None:  # noqa: A002 (Celery's word)
        about = [str(one)[:MOST_ARGUMENT] for one in arguments or ()]
        since = datetime.now(UTC).isoformat(timespec="seconds")
        with self._lock:
            self._doing[id] = {"id": id, "job": job, "about": about, "since": since}
        if job.startswith(HEAVY):
            self.tell()

    def finished(self, id: str) -> None:  # noqa: A002
        with self._lock:
            gone = self._doing.pop(id, None)
            self._done += gone is not None
        if gone and gone["job"].startswith(HEAVY):
            self.tell()

    def broke(self, job: str, arguments: Any, error: BaseException | None) -> None:
        """A job failed for good; a message about nothing is only counted."""
        with self._lock:
            self._failed += 1
        if isinstance(error, NotFound):
            self.dropped()
            return
        about = [str(one)[:MOST_ARGUMENT] for one in arguments or ()]
        _written(
            lambda: life.note_failure(
                job=job,
                arguments=about,
                worker=self.name,
                error=type(error).__name__,
                place=_place(error),
            )
        )

    def dropped(self) -> None:
        with self._lock:
            self._dropped += 1

    def tell(self) -> None:
        if not self.name or self._over.is_set():
            return
        with self._told:
            with self._lock:
                doing = list(self._doing.values())
                counts = {"done": self._done, "failed": self._failed, "dropped": self._dropped}
            _written(lambda: life.pulse(name=self.name, pid=os.getpid(), doing=doing, **counts))

    def _beat(self) -> None:
        while not self._over.wait(PULSE_SECONDS):
            self.tell()
            connection.close()  # back into the pool: this thread rests


def _written(write: Callable[[], None]) -> None:
    """Signs of life are worth no job: where the database is away, the next one tells."""
    try:
        write()
    except AWAY as away:
        logger.warning("a sign of life was not written", extra={"cause": type(away).__name__})


def _place(error: BaseException | None) -> str:
    """The innermost line of ours or of a library's where it was raised."""
    frames = traceback.extract_tb(error.__traceback__) if error else []
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""


own = Life()


@signals.worker_ready.connect
def _worker_begins(sender: Any = None, **_: object) -> None:
    own.begin(sender.hostname)


@signals.beat_init.connect
def _beat_begins(**_: object) -> None:
    own.begin(f"beat@{socket.gethostname()}")
    atexit.register(own.end)  # beat has no signal for its end


@signals.worker_shutdown.connect
def _ends(**_: object) -> None:
    own.end()


@signals.task_prerun.connect
def _job_starts(task_id: str = "", task: Any = None, args: Any = (), **_: object) -> None:
    own.started(task_id, task.name, args)


@signals.task_postrun.connect
def _job_ends(task_id: str = "", **_: object) -> None:
    own.finished(task_id)


@signals.task_failure.connect
def _job_breaks(
    sender: Any = None, exception: BaseException | None = None, args: Any = (), **_: object
) -> None:
    own.broke(sender.name, args, exception)


@signals.task_unknown.connect
@signals.task_rejected.connect
def _message_is_none(**_: object) -> None:
    own.dropped()
