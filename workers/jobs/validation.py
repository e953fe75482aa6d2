"""What a received update is worth: well-formed, finite, and moving the model believably."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median
from typing import Any

from federation.suspicion import FEWEST, is_outlier
from hub.catalogue.blobs.storage import store
from hub.runs.models import Update, UpdateState


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: UpdateState
    code: str = ""
    norm: float | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def examine(update: Update) -> Finding:
    """Check layout, values and norm in one pass. Examined twice, the finding is the same."""
    from federation.engine import AggregationRefused, change_norm

    plan = update.round.run.typed_plan
    try:
        norm = change_norm(
            start=store().local_path(update.round.start_id),
            update=store().local_path(update.artifact_id),
            rank=update.rank,
            scale=plan.adapter.scale,
            codec=plan.transfer.codec,
            travels=plan.aggregation.travels(update.round.number),
        )
    except AggregationRefused as refused:
        return Finding(UpdateState.REJECTED, refused.code, evidence={"detail": refused.detail})
    return weigh(norm, earlier_norms(update))


def weigh(norm: float, earlier: list[float]) -> Finding:
    """Set an update that moves the model far more than its peers aside, for a person to see."""
    if norm == 0.0:
        return Finding(UpdateState.ACCEPTED, "suspect_zero", norm, {"norm": 0.0})
    usual = median(earlier) if len(earlier) >= FEWEST else 0.0
    if not is_outlier(norm, usual):
        return Finding(UpdateState.ACCEPTED, norm=norm)
    evidence = {"norm": norm, "usual_norm": usual}
    return Finding(UpdateState.QUARANTINED, "norm_outlier", norm, evidence)


def earlier_norms(update: Update) -> list[float]:
    """Norms of what was accepted in the run's earlier rounds; the same whenever it is asked."""
    accepted = Update.objects.filter(
        round__run_id=update.round.run_id,
        round__number__lt=update.round.number,
        state=UpdateState.ACCEPTED,
        is_late=False,
        norm__gt=0,
    )
    return sorted(n for n in accepted.values_list("norm", flat=True) if n is not None)
