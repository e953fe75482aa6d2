"""Coordination: open a round, freeze it, publish its version, evaluate it, open the next.

`advance_run` looks at the present state under the run's lock and takes the one step that is due;
it may be called by anybody, at any time, any number of times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet

from federation.failpoints import failpoint
from federation.protocol import TaskType
from hub.catalogue.blobs.artifacts import grant
from hub.catalogue.evaluation.gating import judge_version
from hub.catalogue.models import Artifact
from hub.catalogue.versions.registry import publish_version
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.selectors import contributing
from hub.runs.entries import tell_closed, tell_opened
from hub.runs.errors import StaleClaim
from hub.runs.models import (
    Comparison,
    Purpose,
    Round,
    RoundState,
    Run,
    RunState,
    Task,
    Update,
    UpdateState,
)
from hub.runs.selectors import OPEN_TASKS, current_round
from hub.runs.services.claims import Claim, take_hold
from hub.runs.services.consent import is_let_open, waiting_runs
from hub.runs.services.evaluating import reference_for
from hub.runs.services.lifecycle import (
    fail_run,
    first_evaluated_round,
    let_go,
    withdraw,
    withdraw_tasks,
)
from hub.runs.services.locks import database_now, lock_round, lock_run
from hub.runs.services.memories import is_controlled, memory_of, parent_version
from hub.runs.services.probing import measure_version
from hub.runs.services.sentences import closing_sentence, missing_sentence
from hub.runs.services.unveiling import (
    NOT_IN_TIME,
    begin_unveiling,
    commits_first,
    has_opened,
    open_when_due,
    uncommitted_tasks,
)


def open_next(*, run: Run, number: int, start: Artifact) -> None:
    """Open a round, or let the run wait for who has still to sign. The run is locked."""
    if is_let_open(run):
        open_round(run=run, number=number, start=start)


def open_round(*, run: Run, number: int, start: Artifact) -> Round:
    """Open a round and offer its training tasks. The run is locked by the caller."""
    failpoint("W01", "before")
    opened = Round.objects.create(
        run=run,
        number=number,
        start=start,
        deadline_at=database_now() + timedelta(seconds=run.typed_plan.rounds.deadline_seconds),
    )
    begin_unveiling(opened)
    failpoint("W02", "before")
    offered = offer_tasks(opened, type=TaskType.TRAIN, participations=run.trainers)
    tell_opened(opened, (task.participation_id for task in offered))
    opened.move_to(
        RoundState.COLLECTING,
        data={"round": number, "run": run.name, "expected": len(offered)},
    )
    if not offered or run.typed_plan.rounds.late == "count":  # late ones may suffice
        enqueue(Job.ADVANCE_RUN, str(run.pk))
    transaction.on_commit(lambda: failpoint("W01", "after"))
    transaction.on_commit(lambda: failpoint("W02", "after"))
    return opened


def offer_tasks(current: Round, *, type: TaskType, participations: Sequence[UUID]) -> list[Task]:  # noqa: A002
    """Queue one task for each participation that is still active, and wake its agents.

    Who wishes to leave after the present round trains in no other.
    """
    present = contributing(current.run.federation_id).filter(pk__in=participations).order_by("pk")
    if type == TaskType.TRAIN:
        present = present.filter(leaving_since__isnull=True)
    tasks = Task.objects.bulk_create(
        Task(round=current, participation=p, type=type) for p in present
    )
    wake(*(f"organisation:{p.organisation_id}" for p in present))
    return tasks


@transaction.atomic
def advance_run(*, run_id: UUID) -> None:
    """Take the step that is due, if any. Called twice, the second finds nothing due."""
    run = lock_run(run_id)
    current = current_round(run.pk)
    if run.state == RunState.RUNNING and run.waiting_since:
        _go_on(run, current)
    elif current is not None:
        current.run = run
        advance(run, current)


def advance_federation(*, federation_id: UUID) -> None:
    """Let the runs go on that waited for signatures; called twice, none waits any more."""
    for run_id in waiting_runs(federation_id):
        advance_run(run_id=run_id)


def _go_on(run: Run, last: Round | None) -> None:
    """Open the round before which the run waits, once all have signed."""
    if last is None:
        assert run.start is not None
        open_next(run=run, number=1, start=run.start)
        return
    assert last.version is not None
    open_next(run=run, number=last.number + 1, start=last.version.adapter)


def advance(run: Run, current: Round) -> None:
    """The same, where the run is locked already."""
    if run.state != RunState.RUNNING or run.federation.is_paused:
        return
    if current.state == RoundState.COLLECTING:
        _advance_collecting(run, current)
    elif current.state == RoundState.EVALUATING:
        _advance_evaluating(run, current)


def _advance_collecting(run: Run, current: Round) -> None:
    """Wait for verdicts, have the updates compared, wait for a person, freeze: whichever is due."""
    if not takes_updates(current) or (accepted := settled(current)) is None:
        return
    rounds = run.typed_plan.rounds
    held = held_in(current)
    overdue = is_overdue(current)
    if len(accepted) + (0 if overdue else len(held)) < rounds.quorum:
        _miss_quorum(run, current, have=len(accepted))
        return
    withdraw_tasks(current, reason=_why_withdrawn(current), only_queued=rounds.late == "count")
    if not is_compared(current, accepted):
        enqueue(Job.COMPARE_UPDATES, str(current.pk))
        return
    is_patient = rounds.quarantine == "wait" or len(accepted) < rounds.quorum
    if held and is_patient and not overdue:
        return
    freeze_round(run, current, accepted)


def takes_updates(current: Round) -> bool:
    """Whether the round has opened for updates; then who has not committed is out of it."""
    if not commits_first(current.run):
        return True
    if not has_opened(current):
        open_when_due(current)
        return False  # what follows locks tasks, and the opening is locked after those
    withdraw(uncommitted_tasks(current), reason=NOT_IN_TIME)
    return True


def settled(current: Round) -> list[Update] | None:
    """The accepted updates in the order of their digests, once no verdict is awaited any more."""
    accepted = countable(current).filter(state=UpdateState.ACCEPTED).order_by("artifact_id")
    waiting = current.tasks.filter(type=TaskType.TRAIN, state__in=OPEN_TASKS)
    if waiting.exists() and not (is_overdue(current) or is_full(current, accepted)):
        return None
    if current.updates.filter(is_late=False, state=UpdateState.RECEIVED).exists():
        return None  # its verdict is on the way and will call again
    return list(accepted.select_related("participation__organisation", "round"))


def countable(current: Round) -> QuerySet[Update]:
    """What may count in a round: its own updates, and where late ones do, those of earlier rounds.

    FedBuff (Nguyen et al. 2021, arXiv:2106.06639). None counts in two rounds.
    """
    updates = Update.objects.filter(is_late=False, counted_in__isnull=True)
    if current.run.typed_plan.rounds.late != "count":
        return updates.filter(round=current)
    return updates.filter(round__run_id=current.run_id, round__number__lte=current.number)


def is_full(current: Round, accepted: QuerySet[Update]) -> bool:
    """Whether there are as many accepted updates as the plan closes a round with."""
    buffer = current.run.typed_plan.rounds.buffer
    return buffer is not None and accepted.count() >= buffer


def _why_withdrawn(current: Round) -> str:
    if is_overdue(current):
        return "the deadline has passed"
    return "the round has as many updates as it closes with"


def held_in(current: Round) -> list[Update]:
    """What waits for a person."""
    return list(current.updates.filter(is_late=False, state=UpdateState.QUARANTINED))


def is_overdue(current: Round) -> bool:
    return database_now() >= current.deadline_at


def is_compared(current: Round, accepted: Sequence[Update]) -> bool:
    """Whether there is evidence for exactly these updates."""
    digests = [update.artifact_id for update in accepted]
    return Comparison.objects.filter(round=current, digests=digests).exists()


def freeze_round(run: Run, current: Round, accepted: Sequence[Update]) -> None:
    """Fix the list of updates that count, and have them aggregated. The run is locked."""
    failpoint("W11", "before")
    Update.objects.filter(pk__in=[u.pk for u in accepted]).update(counted_in=current)
    current.frozen = [
        {
            "update": str(u.pk),
            "sha256": u.artifact_id,
            "staleness": current.number - u.round.number,
        }
        for u in accepted
    ]
    current.move_to(
        RoundState.AGGREGATING,
        frozen=current.frozen,
        claimed_until=None,
        attempts=0,
        data={"round": current.number, "run": run.name, "have": len(accepted)},
    )
    enqueue(Job.AGGREGATE_ROUND, str(current.pk))
    transaction.on_commit(lambda: failpoint("W11", "after"))
    wake(f"run:{run.pk}")


def _miss_quorum(run: Run, current: Round, *, have: int) -> None:
    reason = missing_sentence(current, have=have, quorum=run.typed_plan.rounds.quorum)
    fail_run(run_id=run.pk, code="quorum_missed", reason=reason)


@transaction.atomic
def claim_aggregation(*, round_id: UUID) -> Claim | None:
    """Take hold of a frozen round; nothing when it is not frozen or somebody has it."""
    current = lock_round(round_id)
    if current.state != RoundState.AGGREGATING:
        return None
    claim = take_hold(current, counted_updates(current))
    return claim and with_memory(claim, current)


def counted_updates(current: Round) -> list[Update]:
    """The updates of a frozen round in the order of their digests."""
    ids = [entry["update"] for entry in current.frozen]
    updates = Update.objects.filter(pk__in=ids).select_related(
        "participation__organisation", "round", "counted_in"
    )
    return sorted(updates, key=lambda update: update.artifact_id)


def with_memory(claim: Claim, current: Round) -> Claim:
    """The claim with what the server's optimiser goes on from, if anything."""
    memory = memory_of(current)
    if memory is None:
        return claim
    return replace(claim, optimiser_state=memory.state.pk, control_after=memory.controls)


@transaction.atomic
def publish_round(
    *,
    round_id: UUID,
    fence: int,
    adapter: Artifact,
    files: Mapping[str, Artifact],
    rank: int,
    contributors: Sequence[Mapping[str, Any]],
    report: Mapping[str, Any],
    optimiser_state: Artifact | None = None,
) -> Round:
    """Make the round's version and go on to its evaluation, or to the next round.

    Raises:
        StaleClaim: another worker has claimed the round since; nothing is written.
    """
    current = lock_round(round_id)
    if current.state != RoundState.AGGREGATING or current.fence != fence:
        raise StaleClaim(f"round {current.number}: fence {fence} is not {current.fence}")
    failpoint("W13", "before")
    run = current.run
    current.version = publish_version(
        federation=run.federation,
        base_model=run.federation.base_model,
        parent=parent_version(run, current),
        adapter=adapter,
        files=files,
        plan=run.plan,
        plan_digest=run.plan_digest,
        rank=rank,
        contributors=list(contributors),
        report=dict(report),
        is_baseline=run.purpose != Purpose.FEDERATED,
        optimiser_state=optimiser_state,
    )
    if optimiser_state and is_controlled(run.typed_plan):  # the sites go on from it, too
        grant(artifacts=[optimiser_state], federation=run.federation)
    current.save(update_fields=["version"])
    weights = {one["update"]: float(one["weight"]) for one in contributors}
    tell_closed(current, counted_updates(current), weights=weights, report=report)
    measure_version(run, current.version)
    transaction.on_commit(lambda: failpoint("W13", "after"))
    if is_evaluated(run, current):
        _begin_evaluation(run, current)
    else:
        close_round(run, current)
    wake(f"run:{run.pk}", f"federation:{run.federation_id}")
    return current


def is_evaluated(run: Run, current: Round) -> bool:
    every = run.typed_plan.evaluation.every
    if not run.evaluators or every == "never":
        return False
    return current.number >= first_evaluated_round(run.typed_plan)


def _begin_evaluation(run: Run, current: Round) -> None:
    assert current.version is not None
    current.reference = reference_for(run)
    offered = offer_tasks(current, type=TaskType.EVALUATE, participations=run.evaluators)
    current.move_to(
        RoundState.EVALUATING,
        claimed_until=None,
        reference=current.reference,
        deadline_at=database_now() + timedelta(seconds=run.typed_plan.rounds.deadline_seconds),
        data={"round": current.number, "run": run.name, "version": current.version.number},
    )
    if not offered:
        enqueue(Job.ADVANCE_RUN, str(run.pk))


def _advance_evaluating(run: Run, current: Round) -> None:
    waiting = current.tasks.filter(type=TaskType.EVALUATE, state__in=OPEN_TASKS).exists()
    if waiting and database_now() < current.deadline_at:
        return
    withdraw_tasks(current, reason="the deadline has passed", type=TaskType.EVALUATE)
    assert current.version is not None
    judge_version(version=current.version)
    close_round(run, current)


def close_round(run: Run, current: Round) -> None:
    """Close the round with one sentence, then open the next or complete the run."""
    failpoint("W17", "before")
    assert current.version is not None
    summary = closing_sentence(current)
    current.move_to(
        RoundState.CLOSED,
        claimed_until=None,
        summary=summary,
        ended_at=database_now(),
        data={
            "round": current.number,
            "run": run.name,
            "version": current.version.number,
            "summary": summary,
        },
    )
    enqueue(Job.COMMIT_VERSION, str(current.version_id))
    transaction.on_commit(lambda: failpoint("W17", "after"))
    if current.number < run.typed_plan.rounds.count:
        open_next(run=run, number=current.number + 1, start=current.version.adapter)
        return
    let_go(run, current, reason="the run is complete")
    run.move_to(
        RunState.COMPLETED,
        ended_at=database_now(),
        data={"run": run.name, "version": current.version.number, "rounds": current.number},
    )
    wake(f"run:{run.pk}", f"federation:{run.federation_id}")
