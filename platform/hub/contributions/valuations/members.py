"""Measured by the members themselves: each organisation values the others on its own test data.

They are asked like for an evaluation. Nobody waits for them: who has not answered when the time
is over is left out, and who holds a round's training goes on with that first.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet, Sum

from federation import valuation as pure
from federation.plan import canonical
from federation.protocol import TaskType
from federation.protocol_values import CoalitionLosses, ValuesIn
from federation.signatures import BadSignature, verify_bytes
from federation.valuation.binning import FEWEST_BINS, MOST_BINS
from hub.common.errors import Invalid
from hub.common.wakeups import wake
from hub.contributions.errors import ValuesRefused
from hub.contributions.models import Valuation, ValuationState
from hub.contributions.valuations.life import lock_valuation
from hub.contributions.valuations.rows import (
    game_of,
    ids_of,
    known_before,
    measured_of,
    members_of,
    settings_of,
    spec_of,
)
from hub.contributions.valuations.wanting import keep
from hub.dispatch import Job, enqueue
from hub.federations.models import Participation, ParticipationState
from hub.organisations.models import Agent
from hub.organisations.selectors import key_in_force
from hub.runs.errors import BadStatementSignature, StatementMismatch, TaskOver
from hub.runs.models import Task, TaskState
from hub.runs.selectors import OPEN_TASKS
from hub.runs.services.leases import require_lease
from hub.runs.services.lifecycle import describe, withdraw
from hub.runs.services.locks import database_now, lock_task

LABEL = "fl-values-v1"


def offer_to_members(found: Valuation) -> None:
    """Ask everybody who takes part now and evaluates in the run. Raises ValuationRefused."""
    owners = Participation.objects.filter(
        pk__in={*found.round.run.trainers, *found.round.run.evaluators},
        state=ParticipationState.ACTIVE,
    ).order_by("pk")
    asked = [owner for owner in owners if not _is_known(found, owner)]
    Task.objects.bulk_create(
        Task(
            round=found.round,
            participation=owner,
            type=TaskType.VALUE,
            about=found.pk,
            details=_details(found),
        )
        for owner in asked
    )
    wake(*(f"organisation:{owner.organisation_id}" for owner in asked))
    if not owners:
        raise pure.ValuationRefused("not_measured", "nobody is there to measure")


def _details(found: Valuation) -> dict[str, Any]:
    """What a task says beyond the plan and the base; see `federation.protocol_values.ValueSpec`."""
    assert found.stacked is not None
    return {
        "valuation": str(found.pk),
        "stacked": {"sha256": found.stacked.pk, "size_bytes": found.stacked.size_bytes},
        "method": found.method,
        "settings": settings_of(found),
        "seed": found.seed,
        "players": found.players,
        "clusters": found.clusters,
        "examples": spec_of(found).examples,
    }


def _is_known(found: Valuation, owner: Participation) -> bool:
    """Whether what was measured for another valuation of the round is all that is wanted."""
    ids, known = ids_of(found), known_before(found, owner.pk)
    table = pure.Table.of(measured_of(ids, row) for row in known.values())
    if not known or game_of(found).wanted(table, str(owner.pk)):
        return False
    keep(found, (measured_of(ids, row) for row in known.values()))
    return True


@transaction.atomic
def submit_values(*, agent: Agent, task_id: UUID, message: ValuesIn) -> None:
    """Keep what an organisation has measured of the round; the same again changes nothing.

    Raises:
        TaskOver: the valuation has ended without it.
        StatementMismatch, BadStatementSignature: nobody has said so of this task.
        ValuesRefused: these are not the measurements that were asked for; nothing is kept.
    """
    about = Task.objects.filter(pk=task_id).values_list("about", flat=True).first()
    if about is None:
        lock_task(agent, task_id)  # which says NotFound of a foreign one
        raise Invalid("this task measures no values")
    found = lock_valuation(about)
    task = lock_task(agent, task_id)
    if task.state == TaskState.COMPLETED:
        return
    require_lease(task, agent=agent, fence=message.fence)
    if found.state != ValuationState.MEASURING:
        raise TaskOver(f"the valuation is {found.state}")
    _check_statement(task, found, message)
    _check_signature(agent, message)
    keep(found, _checked(task, found, message))
    task.device_seconds = message.device_seconds
    task.save(update_fields=["device_seconds"])
    _complete(task, agent)


def _complete(task: Task, agent: Agent) -> None:
    task.move_to(
        TaskState.COMPLETED,
        actor=agent.actor,
        lease_expires_at=None,
        ended_at=database_now(),
        data=describe(task),
    )
    enqueue(Job.VALUE_ROUND, str(task.about))
    wake(f"run:{task.round.run_id}")


def _check_statement(task: Task, found: Valuation, message: ValuesIn) -> None:
    """Refuse a statement that says something else than the task and the numbers beside it do."""
    run = task.round.run
    measured = [one.model_dump(mode="json") for one in message.measured]
    facts: dict[str, object] = {
        "federation": run.federation.slug,
        "run": run.pk,
        "round": task.round.number,
        "task": task.pk,
        "valuation": found.pk,
        "stacked_sha256": task.details["stacked"]["sha256"],
        "measured_sha256": sha256(canonical(measured)).hexdigest(),
    }
    for name, value in facts.items():
        if getattr(message.statement, name) != value:
            raise StatementMismatch(f"{name} should be {value}")


def _check_signature(agent: Agent, message: ValuesIn) -> None:
    key = key_in_force(agent, message.statement.key_id)
    if key is None:
        raise StatementMismatch(f"key_id should be {agent.key_id}")
    said = canonical(message.statement.model_dump(mode="json"))
    try:
        verify_bytes(bytes(key.public_key), LABEL, said, message.signature)
    except BadSignature as bad:
        raise BadStatementSignature(str(bad)) from bad


def _checked(task: Task, found: Valuation, message: ValuesIn) -> list[pure.Measured]:
    """What the task asked for, neither more nor less. Raises ValuesRefused."""
    owner, game = str(task.participation_id), game_of(found)
    counts = message.statement.counts
    if not FEWEST_BINS <= len(counts) <= MOST_BINS or min(counts) < 1:
        raise ValuesRefused(f"{FEWEST_BINS} to {MOST_BINS} bins are wanted, none of them empty")
    measured = [_measured(found, one, owner, counts) for one in message.measured]
    if any(not one.coalition <= frozenset(game.playing) for one in measured):
        raise ValuesRefused("there is a coalition of somebody who does not play")
    try:
        table = pure.Table.of(measured)
        missing = game.wanted(table, owner)
    except pure.ValuationRefused as refused:
        raise ValuesRefused(refused.detail) from refused
    if missing:
        raise ValuesRefused(f"{len(missing)} coalitions or more have not been measured")
    return measured


def _measured(
    found: Valuation, one: CoalitionLosses, owner: str, counts: Sequence[int]
) -> pure.Measured:
    ids = ids_of(found)
    if len(one.losses) != len(counts) or any(place >= len(ids) for place in one.players):
        raise ValuesRefused("a coalition has other bins, or players that there are not")
    bins = tuple(pure.Bin(*each) for each in zip(one.losses, counts, strict=True))
    return pure.Measured(members_of(ids, one.players), owner, bins)


def tasks_for(found: Valuation) -> QuerySet[Task]:
    """What members were asked, whatever came of it."""
    return Task.objects.filter(about=found.pk)


def are_all_in(found: Valuation) -> bool:
    """Whether no answer is awaited any more; after the deadline, none is."""
    waiting = tasks_for(found).filter(state__in=OPEN_TASKS)
    if found.deadline_at is not None and database_now() >= found.deadline_at:
        withdraw(waiting, reason="the time to measure is over")
    return not waiting.exists()


def seconds_at_sites(found: Valuation) -> float:
    done = tasks_for(found).filter(state=TaskState.COMPLETED)
    return float(done.aggregate(total=Sum("device_seconds", default=0.0))["total"])
