"""The worker's side of a task: do it, and write down what came of it.

This is the edge of a process beside data that must not leave: whatever goes wrong, what is told
and logged is a code and counts. Messages of foreign exceptions may quote texts and paths.
"""

from __future__ import annotations

import errno
import logging
import traceback
from pathlib import Path
from uuid import UUID

from agent.errors import Cancelled, Refused, TaskFailed
from agent.home import Home
from agent.journal import Journal, Outcome
from agent.tasks import Work, task_types
from federation.modelling.messages import ModellingRefused
from federation.protocol import FailureIn, TaskOffer

logger = logging.getLogger(__name__)

MOST_ATTEMPTS = 3
UNREADABLE = "base_unreadable"


def execute(home: Home, task_id: UUID, *, device: str) -> None:
    """Do a journalled task. Called again, or for one that is over, it does nothing."""
    entry = Journal(home.tasks).entry(task_id)
    if entry is None or entry.is_cancelled or entry.outcome:
        return
    with entry.worked_on() as ours:
        if ours and not entry.outcome:
            _attempt(Work(home, entry, device))


def _attempt(work: Work) -> None:
    entry, facts = work.entry, {"task": str(work.entry.offer.id)}
    try:
        outcome = _done(work)
    except Cancelled:
        logger.info("task stopped", extra=facts)
        return
    except Exception as error:  # noqa: BLE001 (the edge of the process)
        if entry.is_cancelled:  # its folder may have gone under our feet
            return
        failure = failure_of(error, fence=entry.offer.fence)
        if failure.code == UNREADABLE:
            work.fetcher.forget(entry.offer.spec.base)
        place = {"code": failure.code, "kind": type(error).__name__, "at": _place(error)}
        logger.warning("task failed", extra={**facts, **place})
        outcome = Outcome(failure=failure)
    if not entry.is_cancelled:
        entry.decide(outcome)


def _done(work: Work) -> Outcome:
    entry = work.entry
    if entry.begin_attempt() > MOST_ATTEMPTS:
        told = f"the worker died {MOST_ATTEMPTS} times at this task"
        raise TaskFailed("worker_died", told, retry=True)
    _check_plan(entry.offer)
    work.fetcher.prune()
    work.reporter.enter("fetching")
    message = task_types[entry.offer.spec.type]().perform(work)
    return Outcome(submission=message.model_dump(mode="json"))


def _check_plan(offer: TaskOffer) -> None:
    if offer.spec.plan.digest() != offer.spec.plan_digest:
        raise TaskFailed("plan_mismatch", "the plan is not the one that its digest names")


def failure_of(error: Exception, *, fence: int) -> FailureIn:
    """What the hub is told about an error."""
    code, detail, retry = _told(error)
    return FailureIn(fence=fence, code=code, detail=_guarded(detail), retry=retry)


def _told(error: Exception) -> tuple[str, str, bool]:
    match error:
        case TaskFailed():
            return error.code, error.detail, error.retry
        case ModellingRefused():
            return error.code, error.detail, error.code == UNREADABLE
        case Refused():
            return "fetch_refused", error.code, True
        case OSError() if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            return "disk_full", "", True
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out_of_memory", "", False  # torch's is no MemoryError
    return "internal", type(error).__name__, True


def _guarded(detail: str) -> str:
    """Libraries' own words may name files of the site; such a detail is not sent."""
    return "" if "/" in detail or "\\" in detail else detail[:500]


def _place(error: Exception) -> str:
    """File name and line where it was raised; no message, no values."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{Path(frames[-1].filename).name}:{frames[-1].lineno}" if frames else ""
