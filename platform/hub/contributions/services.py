"""Writing contribution facts: from signed statements, once, in the transaction that counts them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from federation.failpoints import failpoint
from federation.protocol import TaskType
from hub.catalogue.models import Artifact
from hub.catalogue.selectors import received_bytes
from hub.contributions.models import ContributionFact, Outcome
from hub.contributions.selectors import (
    unmetered_evaluations,
    unmetered_late_updates,
    unmetered_rounds,
)
from hub.contributions.valuations.starting import queue_planned
from hub.dispatch import Job, enqueue
from hub.runs.errors import ExamplesAboveDeclaration
from hub.runs.models import Round, RoundState, Task, Update, UpdateState
from hub.runs.services import brought_bytes, publish_round

OUTCOMES: Mapping[str, Outcome] = {
    UpdateState.ACCEPTED: Outcome.ACCEPTED,
    UpdateState.QUARANTINED: Outcome.QUARANTINED,  # nobody had decided when the round was frozen
}


@transaction.atomic
def publish_and_meter(
    *,
    round_id: UUID,
    fence: int,
    adapter: Artifact,
    files: Mapping[str, Artifact],
    rank: int,
    contributors: Sequence[Mapping[str, Any]],
    report: Mapping[str, Any],
    optimiser_state: Artifact | None = None,
) -> None:
    """Publish the round's version and write what each participation gave to it, as one.

    Where the plan asks what that was worth, it is measured from here on.

    Raises:
        StaleClaim: another worker has claimed the round since; nothing is written.
    """
    published = publish_round(
        round_id=round_id,
        fence=fence,
        adapter=adapter,
        files=files,
        rank=rank,
        contributors=contributors,
        report=report,
        optimiser_state=optimiser_state,
    )
    weights = {entry["update"]: float(entry["weight"]) for entry in contributors}
    failpoint("W14", "before")
    meter_round(published, weights=weights)
    queue_planned(published)
    enqueue(Job.EXAMINE_ROUND, str(published.pk))
    transaction.on_commit(lambda: failpoint("W14", "after"))


def meter_round(ended: Round, *, weights: Mapping[str, float]) -> None:
    """Write one fact for each participation that was asked. Written twice, it stays once."""
    updates = {u.participation_id: u for u in _updates(ended)}
    tasks = ended.tasks.filter(type=TaskType.TRAIN)
    facts = [_fact(ended, task, updates.get(task.participation_id), weights) for task in tasks]
    late = [
        _metered(update.round, update, Outcome.ACCEPTED, weights.get(str(update.pk), 0.0))
        for update in ended.counted.exclude(round=ended).select_related(
            "artifact", "round__start", "round__run"
        )
    ]
    _write(facts + late)


def _write(facts: Sequence[ContributionFact]) -> int:
    """Write facts with the bytes that were really sent, as far as that is known."""
    sent = received_bytes({fact.update.task_id for fact in facts if fact.update})
    for fact in facts:
        if fact.update:
            fact.bytes_up = sent.get(fact.update.task_id, fact.bytes_up)
    ContributionFact.objects.bulk_create(facts, ignore_conflicts=True)
    return len(facts)


def _updates(ended: Round) -> list[Update]:
    """What came in time; what still may count in a later round is written there."""
    updates = ended.updates.filter(is_late=False).select_related("artifact")
    if ended.state == RoundState.FAILED or ended.run.typed_plan.rounds.late != "count":
        return list(updates)
    return list(updates.filter(Q(counted_in=ended) | Q(state=UpdateState.REJECTED)))


def _fact(
    ended: Round, task: Task, update: Update | None, weights: Mapping[str, float]
) -> ContributionFact:
    if update is None:
        return ContributionFact(
            round=ended, participation_id=task.participation_id, outcome=Outcome.MISSED
        )
    weight = weights.get(str(update.pk), 0.0)
    return _metered(ended, update, OUTCOMES.get(update.state, Outcome.REJECTED), weight)


def _metered(
    ended: Round, update: Update, outcome: Outcome, weight: float = 0.0
) -> ContributionFact:
    """Of a number that was refused nothing is counted; the update's statement has it."""
    is_inflated = update.verdict_code == ExamplesAboveDeclaration.code
    return ContributionFact(
        round=ended,
        participation_id=update.participation_id,
        update=update,
        outcome=Outcome.REJECTED if is_inflated else outcome,
        reason="" if outcome == Outcome.ACCEPTED else update.verdict_code,
        examples=0 if is_inflated else update.examples,
        tokens=0 if is_inflated else update.tokens,
        steps=update.steps,
        device_seconds=update.device_seconds,
        bytes_up=update.artifact.size_bytes,
        bytes_down=brought_bytes(ended),
        weight=weight,
    )


def meter_the_rest(*, limit: int = 100) -> int:
    """Write facts of rounds that failed, updates that came late, and evaluations.

    Returns how many of them were due.
    """
    failed = list(unmetered_rounds()[:limit])
    for ended in failed:
        meter_round(ended, weights={})
    late = [_metered(one.round, one, Outcome.LATE) for one in unmetered_late_updates()[:limit]]
    evaluated = [_evaluated(task) for task in unmetered_evaluations()[:limit]]
    return len(failed) + _write(late + evaluated)


def _evaluated(task: Task) -> ContributionFact:
    tested: int | None = task.tested  # type: ignore[attr-defined]  # `unmetered_evaluations` has it
    return ContributionFact(
        round_id=task.round_id,
        participation_id=task.participation_id,
        outcome=Outcome.EVALUATED,
        examples=tested or 0,
        device_seconds=task.device_seconds,
    )
