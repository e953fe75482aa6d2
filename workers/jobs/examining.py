"""Looking at the updates of a closed round beside those of the rounds before."""

from __future__ import annotations

from math import sqrt
from typing import TYPE_CHECKING
from uuid import UUID

from hub.catalogue.blobs.storage import store
from hub.contributions.cases import examining
from jobs.aggregation import weighted

if TYPE_CHECKING:
    from hub.contributions.cases.examining import Examination


def examine(wanted: Examination) -> None:
    """Read each update once, keep its sketch, and open the cases that there is reason to."""
    from federation.conduct import findings
    from federation.strategies import AggregationRefused

    current = wanted.current
    try:
        sketches = _sketches(wanted)
    except AggregationRefused:  # nothing can be said about these; the round counts as looked at
        sketches = {}
    norms = {update.pk: _norm(update.norm, sketches.get(update.pk)) for update in wanted.updates}
    examining.record_examination(round_id=current.pk, sketches=sketches, norms=norms)
    history = examining.history_of(current)
    is_known = bool(history) and history[-1].number == current.number
    examining.conclude(round_id=current.pk, found=findings(history) if is_known else [])


def _sketches(wanted: Examination) -> dict[UUID, list[float]]:
    from federation.sketching import sketches_of

    if not wanted.updates:
        return {}
    plan = wanted.current.run.typed_plan
    found = sketches_of(
        start=store().local_path(wanted.current.start_id),
        updates=[weighted(update, plan) for update in wanted.updates],
        scale=plan.adapter.scale,
        seed=wanted.seed,
        travels=plan.aggregation.travels(wanted.current.number),
    )
    return {update.pk: found[update.artifact_id] for update in wanted.updates}


def _norm(known: float | None, sketch: list[float] | None) -> float:
    """As the update's verdict found it, else nearly."""
    if known is not None:
        return known
    return sqrt(sum(value**2 for value in sketch or ()))
