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
from hub.contributions.models import ContributionFact, Outcome
from hub.contributions.selectors import unmetered_late_updates, unmetered_rounds
from hub.contributions.valuations.starting import queue_planned
from hub.runs.models import Round, RoundState, Task, Update, UpdateState
from hub.runs.services import brought_bytes, publish_round


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
    ContributionFact.objects.bulk_create(facts + late, ignore_conflicts=True)


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
    accepted = update.state == UpdateState.ACCEPTED
    return _metered(ended, update, Outcome.ACCEPTED if accepted else Outcome.REJECTED, weight)


def _metered(
    ended: Round, update: Update, outcome: Outcome, weight: float = 0.0
) -> ContributionFact:
    return ContributionFact(
        round=ended,
        participation_id=update.participation_id,
        update=update,
        outcome=outcome,
        examples=update.examples,
        tokens=update.tokens,
        steps=update.steps,
        device_seconds=update.device_seconds,
        bytes_up=update.artifact.size_bytes,
        bytes_down=brought_bytes(ended),
        weight=weight,
    )


def meter_the_rest(*, limit: int = 100) -> int:
    """Write facts for rounds that failed and updates that came late; returns how many rows."""
    before = ContributionFact.objects.count()
    for ended in unmetered_rounds()[:limit]:
        meter_round(ended, weights={})
    late = [
        _metered(update.round, update, Outcome.LATE) for update in unmetered_late_updates()[:limit]
    ]
    ContributionFact.objects.bulk_create(late, ignore_conflicts=True)
    return ContributionFact.objects.count() - before
