"""What a run has measured on its public probe set: its start, every version, single updates.

Nothing waits for the first two, which are measured by a job of their own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from federation.suspicion import Losses
from hub.catalogue.evaluation.probes import probe_for
from hub.catalogue.evaluation.scoring import ask_score
from hub.catalogue.models import ModelVersion, Probe
from hub.common.wakeups import wake
from hub.runs.models import Run, RunState, Update, UpdateState

KEPT = "probe"  # in an update's evidence


@dataclass(frozen=True, slots=True)
class Probed:
    """The loss on a probe set with each single update of a round, by the update's digest.

    `start` is the loss before any of them, and `basis` says of which start and set that is. With
    a `failure` nothing was measured.
    """

    basis: str
    start: float = 0.0
    losses: Mapping[str, float] = field(default_factory=dict)
    failure: str = ""


def probe_of(run: Run) -> Probe | None:
    """The run's own set; where it had none, the one that the federation has now."""
    return run.probe or probe_for(run.federation, run.typed_plan)[0]


def basis_of(start: str, run: Run) -> str:
    """What the losses of updates depend on besides their bytes, in short."""
    return f"{start[:16]}/{run.probe.artifact_id[:16]}" if run.probe else ""


def known_losses(updates: Sequence[Update], basis: str) -> dict[str, Mapping[str, Any]]:
    """By digest, what was measured when these updates were compared before."""
    kept = {update.artifact_id: update.evidence.get(KEPT, {}) for update in updates}
    return {digest: found for digest, found in kept.items() if found.get("basis") == basis}


def losses_of(
    updates: Sequence[Update], probed: Probed, *, held: Sequence[Update] = ()
) -> Losses | None:
    """Write what was measured into the updates' evidence; nothing where that failed.

    What is `held` already is told to who decides on it, and is nobody's peer.
    """
    if probed.failure or {update.artifact_id for update in updates} - probed.losses.keys():
        return None
    for update in (*updates, *held):
        if update.artifact_id in probed.losses:
            told = {"basis": probed.basis, "start": probed.start, "change": _change(update, probed)}
            update.evidence = {**update.evidence, KEPT: told}
            update.save(update_fields=["evidence"])
    return Losses(probed.start, tuple(_change(update, probed) for update in updates))


def _change(update: Update, probed: Probed) -> float:
    return probed.losses[update.artifact_id] - probed.start


def held_updates(round_id: UUID) -> list[Update]:
    """What waits for a person, in the order of the digests."""
    held = Update.objects.filter(round=round_id, is_late=False, state=UpdateState.QUARANTINED)
    related = held.select_related("participation__organisation", "round", "counted_in")
    return list(related.order_by("artifact_id"))


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


def tell_runs(probe: Probe) -> None:
    """Have the pages of runs that go on show what was measured on their set."""
    going_on = Run.objects.filter(probe=probe, state=RunState.RUNNING)
    wake(*(f"run:{pk}" for pk in going_on.values_list("pk", flat=True)))
