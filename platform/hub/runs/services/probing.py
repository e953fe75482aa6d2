"""What a run has measured on its public probe set: where it starts from, and every version.

Nothing waits for these measurements; they are made by a job of their own.
"""

from __future__ import annotations

from hub.catalogue.models import ModelVersion
from hub.catalogue.scoring import ask_score
from hub.runs.models import Run


def measure_start(run: Run) -> None:
    """Have the run's start measured, and what the base model does without any of the work.

    Where the run goes on from a version, that is the fresh adapter with which the work began.
    """
    if run.probe is None or run.start is None:
        return
    is_fresh = run.parent_version_id is None
    ask_score(
        probe=run.probe,
        adapter=run.start,
        plan=run.typed_plan,
        about=f"the start of {run.name}",
        is_base=is_fresh,
    )
    if not is_fresh and (first := _first_of_its_kind(run)):
        assert first.start is not None
        ask_score(
            probe=run.probe,
            adapter=first.start,
            plan=first.typed_plan,
            about=f"the start of {first.name}",
            is_base=True,
        )


def measure_version(run: Run, version: ModelVersion) -> None:
    """Have what a round published measured."""
    if run.probe is not None:
        ask_score(
            probe=run.probe,
            adapter=version.adapter,
            plan=run.typed_plan,
            about=f"version {version.number}",
        )


def _first_of_its_kind(run: Run) -> Run | None:
    """The federation's first run of the same task and adapter that began afresh."""
    fresh = Run.objects.filter(
        federation=run.federation_id,
        parent_version__isnull=True,
        start__isnull=False,
        plan__task=run.plan["task"],
        plan__adapter=run.plan["adapter"],
    )
    return fresh.select_related("start").order_by("number").first()
