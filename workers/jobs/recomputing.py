"""Computing a closed round again, into files that are thrown away."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from federation.layout import LayoutRefused
from hub.catalogue.evaluation import scoring
from hub.catalogue.evaluation.probes import content_of
from hub.runs import services
from hub.runs.services import Claim
from jobs.aggregation import compute
from jobs.folders import scratch
from jobs.probing import Unmeasured, achieved, within


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
        probe = on_probe(claim, target)
    services.record_recomputation(
        recomputation_id=recomputation_id,
        digest=report.digest,
        size_bytes=size_bytes,
        report=report.as_dict(),
        probe=probe,
    )


def on_probe(claim: Claim, adapter: Path) -> dict[str, Any] | None:
    """What the result achieves on the run's probe set, or why nobody knows; None without a set."""
    probe = claim.run.probe
    if probe is None:
        return None
    try:
        found = achieved(
            base_model=claim.run.federation.base_model,
            plan=claim.plan,
            adapter=adapter,
            examples=content_of(probe).examples(),
            on_step=within(settings.PROBE_SECONDS),
        )
    except Unmeasured as refused:
        return {"failure": refused.code}
    return {name: getattr(found, name) for name in scoring.SUMS}
