"""One training on several devices: a process for each, all of them of the task's own process.

They are forked from it and die with it, so whatever ends the task ends them. They find each other
through a file and talk over the loopback: `accelerate launch` would open a port to every network,
and start them in sessions of their own, where nobody who ends the task finds them.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from agent.apart import begun
from agent.errors import Cancelled, TaskFailed
from agent.files import made, write_whole
from federation.modelling.messages import Seat, Step, Trained
from federation.protocol import FailureIn

if TYPE_CHECKING:
    from agent.tasks.base import Work

LOOK_SECONDS = 0.05
DIED = "process_died"
RESULT = "trained.json"

Lesson = Callable[..., Trained]  # `train` with all but device, seat and on_step


def trained_together(work: Work, lesson: Lesson, *, is_sharded: bool) -> Trained:
    """Have one process on each of the work's devices train. Raises TaskFailed, Cancelled."""
    shutil.rmtree(folder := work.entry.folder / "team", ignore_errors=True)
    meeting, size = made(folder) / "meeting", len(work.devices)
    team: list[BaseProcess] = []
    try:
        for index, device in enumerate(work.devices):
            seat = Seat(index, size, meeting, is_sharded)
            team.append(begun(_take_part, work, lesson, device, seat))
        _watch(work, team, folder)
    finally:
        _end(team)
    return Trained(**json.loads((folder / RESULT).read_text()))


def _take_part(work: Work, lesson: Lesson, device: str, seat: Seat) -> None:
    """One process of the team; the first of them reports, and keeps what came of it."""
    is_first = seat.index == 0
    on_step = partial(work.reporter.step, "training") if is_first else _quietly
    try:
        trained = lesson(device=device, seat=seat, on_step=on_step)
    except Cancelled:
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 (the edge of the process)
        _tell(work, seat, error)
        sys.exit(1)
    if is_first:
        write_whole(seat.meeting.with_name(RESULT), json.dumps(asdict(trained)))


def _quietly(_: Step) -> None:
    """The first process reports for all."""


def _tell(work: Work, seat: Seat, error: Exception) -> None:
    from agent.execution import failure_of

    failure = failure_of(error, fence=work.entry.offer.fence)
    write_whole(seat.meeting.with_name(f"failure-{seat.index}.json"), failure.model_dump_json())


def _watch(work: Work, team: Sequence[BaseProcess], folder: Path) -> None:
    """Return when there is a result. For an end of the processes nobody waits: torch's may hang."""
    while not (folder / RESULT).exists():
        if work.entry.is_cancelled:
            raise Cancelled
        if any(process.exitcode for process in team) or _told(folder):
            raise _failure(team, folder)
        team[0].join(LOOK_SECONDS)


def _failure(team: Sequence[BaseProcess], folder: Path) -> TaskFailed:
    """What was wrong first: where one process fails, the others lose it and fail of that."""
    told = [FailureIn.model_validate_json(file.read_text()) for file in _told(folder)]
    was_killed = any((process.exitcode or 0) < 0 for process in team)
    if was_killed or not told:
        said = "one of the processes that share the task was ended from outside"
        return TaskFailed(DIED, said, retry=True)
    first = min(told, key=lambda failure: failure.code == "internal")
    return TaskFailed(first.code, first.detail, retry=first.retry)


def _told(folder: Path) -> list[Path]:
    return list(folder.glob("failure-*.json"))


def _end(team: Sequence[BaseProcess]) -> None:
    for process in team:
        process.kill()
    for process in team:
        process.join()
