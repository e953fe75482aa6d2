"""Computing a closed round again, into files that are thrown away."""

from __future__ import annotations

from uuid import UUID

from federation.layout import LayoutRefused
from hub.runs import services
from hub.runs.services import Claim
from jobs.aggregation import compute
from jobs.folders import scratch


def recompute(recomputation_id: UUID, claim: Claim) -> None:
    """Aggregate the round's stored updates, and keep the figures of what came of it."""
    from federation.strategies import AggregationRefused

    with scratch() as folder:
        target = folder / "adapter.safetensors"
        try:
            report = compute(claim, target, folder / "optimiser.safetensors")
        except (AggregationRefused, LayoutRefused) as refused:
            services.fail_recomputation(
                recomputation_id=recomputation_id, code=refused.code, reason=refused.detail
            )
            return
        size_bytes = target.stat().st_size
    services.record_recomputation(
        recomputation_id=recomputation_id,
        digest=report.digest,
        size_bytes=size_bytes,
        report=report.as_dict(),
    )
