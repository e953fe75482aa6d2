"""A closed round taken apart, from the updates that are stored anyway."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from federation.layout import LayoutRefused
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.blobs.storage import store
from hub.runs import services
from hub.runs.models import Round
from hub.runs.services.rounds import counted_updates
from jobs.aggregation import weighted
from jobs.folders import scratch


def stack(stacking_id: UUID, current: Round) -> None:
    """Make the stacked adapter of a round and keep it, or say why there is none."""
    from federation.strategies import AggregationRefused

    with scratch() as folder:
        target = folder / "stacked.safetensors"
        try:
            digest = write(current, target)
        except (AggregationRefused, LayoutRefused) as refused:
            services.fail_stacking(
                stacking_id=stacking_id, code=refused.code, reason=refused.detail
            )
            return
        artifact = adopt_file(path=target, sha256=digest)
    services.record_stacking(stacking_id=stacking_id, artifact=artifact)


def write(current: Round, target: Path) -> str:
    """Write a closed round's stacked adapter; returns its SHA-256. Each component has an owner.

    It is twice as large as all updates together. `federation.stacked.masked` takes the adapter of
    any coalition out of it.
    """
    from federation.stacked import write_stacked

    assert current.version is not None
    plan = current.run.typed_plan
    return write_stacked(
        start=store().local_path(current.start_id),
        updates=[weighted(update, plan) for update in counted_updates(current)],
        weights=current.version.report["weights"],
        target=target,
        travels=plan.aggregation.travels(current.number),
    )
