"""When a round takes updates: once all have committed to theirs, or the time for it is over.

Who commits and who opens wait for each other at the round's `Unveiling`, which is locked last:
after run, round and task. From the opening on nobody can commit any more.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from federation.failpoints import failpoint
from federation.protocol import TaskType
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.models import FederationState
from hub.runs.commitment_models import Commitment, Unveiling
from hub.runs.errors import NotCommitted, RevealNotOpen
from hub.runs.models import Round, Run, RunState, Task
from hub.runs.selectors import OPEN_TASKS
from hub.runs.services.locks import database_now

NOT_IN_TIME = "it had not committed in time"  # why a task is withdrawn when the round opens


def commits_first(run: Run) -> bool:
    """Whether the plan asks for it; of the plan's JSON, since heartbeats ask."""
    return run.plan["rounds"].get("commit_seconds") is not None


def begin_unveiling(opened: Round) -> None:
    """Give a round that has just opened its time to commit, where the plan asks for it."""
    seconds = opened.run.typed_plan.rounds.commit_seconds
    if seconds is not None:
        deadline = database_now() + timedelta(seconds=seconds)
        Unveiling.objects.create(round=opened, deadline_at=deadline)


def prolong(current: Round, by: timedelta) -> None:
    """Move the time to commit with a pause of the run."""
    unveiling = lock_unveiling(current.pk)
    if unveiling is not None and unveiling.opened_at is None:
        unveiling.deadline_at += by
        unveiling.save(update_fields=["deadline_at"])


def require_revealing(task: Task, digest: str) -> None:
    """Refuse bytes that are sent too early, or that nobody has committed to. The task is locked.

    Raises:
        RevealNotOpen: others may still commit.
        NotCommitted: the organisation has committed to other bytes, or to none.
    """
    if not commits_first(task.round.run) or task.type != TaskType.TRAIN:
        return
    own = Commitment.objects.filter(round=task.round_id, participation=task.participation_id)
    if not own.filter(digest=digest).exists():
        raise NotCommitted(f"there is no commitment to {digest}")
    if not opened_for(task):
        raise RevealNotOpen("others may still commit; a heartbeat says when")


def opened_for(task: Task) -> bool | None:
    """Whether a task's update may be sent; None where nobody asks. Opens what is due."""
    if not commits_first(task.round.run) or task.type != TaskType.TRAIN:
        return None
    return has_opened(task.round) or open_when_due(task.round)


def has_opened(current: Round) -> bool:
    """Once it has, it stays so."""
    return Unveiling.objects.filter(round=current.pk, opened_at__isnull=False).exists()


def open_when_due(current: Round) -> bool:
    """Open a round for updates if nobody who may still commit is missing; whether it is open.

    Nothing may be locked afterwards but what comes after everything.
    """
    unveiling = lock_unveiling(current.pk)
    return unveiling is None or open_if_due(unveiling, current)


def open_if_due(unveiling: Unveiling, current: Round) -> bool:
    """The same, where the row is locked already."""
    if unveiling.opened_at is not None:
        return True
    if uncommitted_tasks(current).exists() and not is_past(unveiling):
        return False
    failpoint("W22", "before")
    unveiling.opened_at = database_now()
    unveiling.save(update_fields=["opened_at"])
    current.record("revealing", data=_told(current))
    enqueue(Job.ADVANCE_RUN, str(current.run_id))
    transaction.on_commit(lambda: failpoint("W22", "after"))
    wake(f"run:{current.run_id}")
    return True


def _told(current: Round) -> dict[str, Any]:
    return {
        "round": current.number,
        "run": current.run.name,
        "committed": current.commitments.count(),
        "expected": current.tasks.filter(type=TaskType.TRAIN).count(),
    }


def uncommitted_tasks(current: Round) -> QuerySet[Task]:
    """Who is still at it and has not committed."""
    return current.tasks.filter(type=TaskType.TRAIN, state__in=OPEN_TASKS, commitment__isnull=True)


def is_past(unveiling: Unveiling) -> bool:
    """The time is over. It stands still while the run or its federation is paused."""
    if database_now() < unveiling.deadline_at:
        return False
    under_way = Run.objects.filter(rounds=unveiling.round_id, state=RunState.RUNNING)
    return under_way.exclude(federation__state=FederationState.PAUSED).exists()


def lock_unveiling(round_id: UUID) -> Unveiling | None:
    """None where the round takes updates at once."""
    return Unveiling.objects.select_for_update().filter(round=round_id).first()
