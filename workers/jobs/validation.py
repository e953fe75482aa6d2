"""What a received update is worth: well-formed, finite, and moving the model believably."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from federation.coded import check_update
from federation.layout import LayoutRefused, read_layout
from federation.plan import Plan
from hub.catalogue.storage import store
from hub.runs.models import Update, UpdateState
from jobs.folders import plain_update, scratch

SUSPICIOUS = 20.0  # times the median norm of the run's accepted updates
ENOUGH = 3  # accepted updates before norms are compared


@dataclass(frozen=True, slots=True)
class Finding:
    verdict: UpdateState
    code: str = ""
    norm: float | None = None
    evidence: dict[str, Any] = field(default_factory=dict)


def examine(update: Update) -> Finding:
    """Check layout, values and norm, decoded. Examined twice, the finding is the same."""
    plan, start = update.round.run.typed_plan, store().local_path(update.round.start_id)
    path = store().local_path(update.artifact_id)
    with scratch() as folder:
        try:
            check_update(path, start=start, rank=update.rank, codec=plan.transfer.codec)
            norm = _norm(plain_update(update, plan, folder), start, update.rank, plan)
        except LayoutRefused as refused:
            return Finding(UpdateState.REJECTED, refused.code, evidence={"detail": refused.detail})
    return weigh(norm, earlier_norms(update))


def _norm(path: Path, start: Path, rank: int, plan: Plan) -> float:
    """How far the update moves the model; raises LayoutRefused where a value is not finite."""
    from federation.engine import change_norm
    from federation.tensors import check_values

    check_values(path, read_layout(path))
    return change_norm(start=start, update=path, rank=rank, scale=plan.adapter.scale)


def weigh(norm: float, earlier: list[float]) -> Finding:
    """Set an update that moves the model far more than its peers aside, for a person to see."""
    if norm == 0.0:
        return Finding(UpdateState.ACCEPTED, "suspect_zero", norm, {"norm": 0.0})
    if len(earlier) < ENOUGH:
        return Finding(UpdateState.ACCEPTED, norm=norm)
    usual = median(earlier)
    if norm <= SUSPICIOUS * usual:
        return Finding(UpdateState.ACCEPTED, norm=norm)
    evidence = {"norm": norm, "usual_norm": usual, "bound": SUSPICIOUS * usual}
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
