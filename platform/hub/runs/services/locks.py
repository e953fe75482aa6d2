"""Row locks in the one global order, and the database's clock."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.db import connection, models

from hub.common.errors import NotFound
from hub.organisations.models import Agent
from hub.runs.models import Round, Run, Task

M = TypeVar("M", bound=models.Model)


def database_now() -> datetime:
    """The database's clock: deadlines and leases know no other."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        (now,) = cursor.fetchone()
    return now  # type: ignore[no-any-return]


def lock_run(run_id: UUID) -> Run:
    """The run, locked until the transaction ends."""
    return _locked(Run.objects.select_related("federation"), run_id)


def lock_round(round_id: UUID) -> Round:
    """The round, locked, after its run."""
    run_id = Round.objects.values_list("run_id", flat=True).filter(pk=round_id).first()
    if run_id is None:
        raise NotFound("no such round")
    return lock_round_of(run_id, round_id)


def lock_round_of(run_id: UUID, round_id: UUID) -> Round:
    """A round whose run is known, locked after it."""
    run = lock_run(run_id)
    found = _locked(Round.objects.all(), round_id)
    found.run = run
    return found


def lock_task(agent: Agent, task_id: UUID) -> Task:
    """A task of the agent's organisation, locked alone: for what touches nothing above it.

    What is joined may be as old as the wait for the lock; of it, only what never changes counts.
    """
    tasks = Task.objects.select_related("round__run__federation", "participation__organisation")
    of_organisation = tasks.filter(participation__organisation_id=agent.organisation_id)
    task = _locked(of_organisation, task_id)
    if task.agent_id == agent.pk:
        task.agent = agent
    return task


def lock_task_and_round(agent: Agent, task_id: UUID) -> Task:
    """A task with its run and round locked before it: for what may end the round."""
    scope = Task.objects.filter(
        participation__organisation_id=agent.organisation_id, pk=task_id
    ).values_list("round__run_id", "round_id")
    found = scope.first()
    if found is None:
        raise NotFound("no such task")
    held = lock_round_of(*found)
    task = lock_task(agent, task_id)
    task.round = held
    return task


def _locked(rows: models.QuerySet[M], pk: UUID) -> M:
    """Not by `first`, since ordering one row of a hundred columns takes longer than finding it."""
    try:
        return rows.select_for_update(of=("self",)).get(pk=pk)
    except ObjectDoesNotExist as missing:
        raise NotFound("no such thing") from missing
