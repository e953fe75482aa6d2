"""The process in which a task is done: made for it, gone with it, ended by force where it must be.

Whatever the task held on its device is free when its process is gone. The next process waits
already, forked from a worker that has loaded the libraries and computed nothing, so a task begins
at once; why, and where it is spawned instead, is told in docs/adr/0009.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from types import TracebackType
from typing import Self
from uuid import UUID

import psutil

from agent import logs
from agent.home import Home
from agent.journal import Entry, Journal, Outcome
from agent.leash import hold
from federation.protocol import FailureIn

logger = logging.getLogger(__name__)

TIME_LIMIT = "time_limit"  # the failure's code
LOOK_SECONDS = 0.1  # between two looks at whether it may go on
CANCEL_SECONDS = 10.0  # a cancelled task that has not stopped by then is ended by force
PAUSES = (0.0, 0.5, 2.0, 5.0)  # before a task whose process died is begun again

Work = Callable[..., None]


class Stage:
    """Where a worker's tasks are done, each by a process that waited for it and goes with it.

    `prepare` loads what tasks need; it computes nothing and opens no device. A context manager.
    """

    def __init__(self, prepare: Work) -> None:
        self._prepare = prepare
        if sys.platform == "linux":
            prepare()
            gc.collect()
            gc.freeze()  # else each process would copy what it never changes
        self._next = _Waiting(prepare)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._next.process)

    def begin(self, work: Work) -> BaseProcess:
        """Have the process that waits do some work, and another wait."""
        waiting = self._next if self._next.process.is_alive() else _Waiting(self._prepare)
        waiting.give(work)
        self._next = _Waiting(self._prepare)
        return waiting.process

    def attend(self, home: Home, task_id: UUID, work: Work) -> None:
        """See to it that `work` does a journalled task; return when its process is gone.

        A process that dies is followed by another; how many a task may cost is for `work` to count.
        """
        entry = Journal(home.tasks).entry(task_id)
        for pause in PAUSES:
            if entry is None or entry.is_cancelled or entry.outcome:
                return
            time.sleep(pause)
            process = self.begin(work)
            _watch(entry, process)
            if process.exitcode == 0:
                return
            facts = {"task": str(task_id), "status": process.exitcode}
            logger.warning("training process ended", extra=facts)


class _Waiting:
    """A process that waits to be told its work."""

    def __init__(self, prepare: Work) -> None:
        self._pipe, theirs = multiprocessing.Pipe()
        self.process = begun(_work_when_told, theirs, prepare)
        theirs.close()

    def give(self, work: Work) -> None:
        with suppress(BrokenPipeError):  # it has just died, as whoever waits for it will see
            self._pipe.send(work)
        self._pipe.close()


def _work_when_told(pipe: Connection, prepare: Work) -> None:
    prepare()
    work: Work = pipe.recv()
    work()


def begun(work: Work, *arguments: object) -> BaseProcess:
    """A process that does some work, and dies with this one."""
    process: BaseProcess = _context().Process(  # type: ignore[attr-defined]
        target=_live, args=(os.getpid(), work, *arguments)
    )
    process.start()
    return process


def _context() -> BaseContext:
    """Fork where that is safe: not on macOS, nor once something has opened the device here."""
    torch = sys.modules.get("torch")
    is_open = torch is not None and torch.cuda.is_initialized()
    is_safe = sys.platform == "linux" and not is_open
    return multiprocessing.get_context("fork" if is_safe else "spawn")


def _live(parent: int, work: Work, *arguments: object) -> None:
    hold(parent)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    logs.configure()
    try:
        work(*arguments)
    except Exception as error:  # noqa: BLE001 (the edge of the process)
        # Its message may quote what must not leave.
        logger.error("task not done", extra={"kind": type(error).__name__})  # noqa: TRY400
        sys.exit(1)


def _watch(entry: Entry, process: BaseProcess) -> None:
    """Return when the process is gone, by itself or by force."""
    end_at = float("inf")
    while process.is_alive():
        process.join(LOOK_SECONDS)
        if end_at == float("inf") and entry.is_cancelled:
            end_at = time.monotonic() + CANCEL_SECONDS
        if time.monotonic() > end_at:
            logger.warning("task does not stop, ending it", extra={"task": str(entry.offer.id)})
            _end(process)
        elif time.time() > entry.ends_at:
            _end(process)
            _give_up(entry)


def _give_up(entry: Entry) -> None:
    """It could not be in time any more; unless it came to its end just now."""
    if entry.outcome or entry.is_cancelled:
        return
    told = f"it took longer than the {entry.limit_seconds} s that the plan gives a round"
    failure = FailureIn(fence=entry.offer.fence, code=TIME_LIMIT, detail=told, retry=False)
    logger.warning("time limit", extra={"task": str(entry.offer.id)})
    entry.decide(Outcome(failure=failure))


def _end(process: BaseProcess) -> None:
    """By force, with whatever it has started."""
    try:
        family = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        family = []
    process.kill()
    for one in family:
        try:
            one.kill()
        except psutil.NoSuchProcess:
            continue
    process.join()
