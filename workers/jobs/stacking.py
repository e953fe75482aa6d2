"""A closed round taken apart, from the updates that are stored anyway."""

from __future__ import annotations

from pathlib import Path

from hub.catalogue.storage import store
from hub.runs.models import Round
from hub.runs.services.rounds import counted_updates
from jobs.aggregation import weighted


def stack_round(current: Round, target: Path) -> str:
    """Write the round's stacked adapter, with an owner for each component; returns its SHA-256.

    It is twice as large as all updates together, so it is made when somebody asks; the same round
    gives the same bytes. `federation.stacked.masked` takes the adapter of any coalition out of it.

    Raises:
        ValueError: the round has no result.
    """
    from federation.stacked import write_stacked

    if current.version is None:
        raise ValueError(f"round {current.number} has no result to take apart")
    plan = current.run.typed_plan
    return write_stacked(
        start=store().local_path(current.start_id),
        updates=[weighted(update, plan) for update in counted_updates(current)],
        weights=current.version.report["weights"],
        target=target,
        travels=plan.aggregation.travels(current.number),
    )
