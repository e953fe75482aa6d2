"""What each update of a round by itself does to the loss on the run's public probe set."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from federation.compatibility import PLAIN_COMBINATION, PLAIN_RULE
from federation.figures import mean_loss
from federation.layout import LayoutRefused
from federation.plan import Server
from hub.catalogue.blobs.storage import store
from hub.catalogue.evaluation.probes import content_of
from hub.runs.services.probing import Probed, basis_of, held_updates, known_losses
from jobs.aggregation import weighted
from jobs.folders import scratch
from jobs.probing import Unmeasured, achieved, within

if TYPE_CHECKING:
    from federation.plan import Plan
    from hub.runs.models import Update
    from hub.runs.services import Claim

logger = logging.getLogger(__name__)

MOST_EXAMPLES = 256  # of the set, spread evenly over it: a round should not wait for long
HIGHEST_LOSS = 1e6  # stands for a loss that is no number, or larger
LAST_ATTEMPT = 2  # a comparison that has died twice goes on without


def probe_updates(claim: Claim) -> Probed | None:
    """Measure every update alone, as the plan's strategy would publish it; None without a set.

    Also what is held already, for who decides on it.
    The round goes on without what takes too long or cannot be measured, and says why. Measured
    again, the losses are the same.
    """
    probe = claim.run.probe
    if probe is None:
        return None
    basis = basis_of(claim.start, claim.run)
    if claim.attempt > LAST_ATTEMPT:
        return Probed(basis, failure="gave_up")
    try:
        start, losses = _measured(claim, basis)
    except Unmeasured as refused:
        logger.warning("updates not measured", extra={"round": claim.round_id, "why": refused.code})
        return Probed(basis, failure=refused.code)
    return Probed(basis, start, losses)


def _measured(claim: Claim, basis: str) -> tuple[float, dict[str, float]]:
    updates = [*claim.updates, *held_updates(claim.round_id)]
    known = known_losses(updates, basis)
    losses = {digest: found["start"] + found["change"] for digest, found in known.items()}
    missing = [update for update in updates if update.artifact_id not in losses]
    starts = [found["start"] for found in known.values()]
    if not missing:
        return starts[0], losses
    loss_of = _measuring(claim)
    start = starts[0] if starts else loss_of(store().local_path(claim.start))
    with scratch() as folder:
        for update in missing:
            alone = _alone(update, claim, folder / "alone.safetensors")
            found = loss_of(alone) if alone else HIGHEST_LOSS
            losses[update.artifact_id] = min(found, HIGHEST_LOSS)
    return start, losses


def _measuring(claim: Claim) -> Callable[[Path], float]:
    """What says the mean loss of an adapter; all measurements of a round share one time limit."""
    probe = claim.run.probe
    assert probe is not None
    base = claim.run.federation.base_model
    examples = content_of(probe).examples(MOST_EXAMPLES)
    on_step = within(settings.PROBE_WAIT_SECONDS)

    def loss_of(adapter: Path) -> float:
        try:
            found = achieved(
                base_model=base,
                plan=claim.plan,
                adapter=adapter,
                examples=examples,
                on_step=on_step,
            )
        except Unmeasured as refused:
            if refused.code != "non_finite":
                raise
            return HIGHEST_LOSS
        return mean_loss(found)

    return loss_of


def _alone(update: Update, claim: Claim, target: Path) -> Path | None:
    """The adapter that the round would publish if this were its only update.

    None where its values would not fit: nobody spoils the evidence by an update out of all bounds.
    """
    from federation.engine import AggregationRefused, Method, aggregate

    try:
        aggregate(
            start=store().local_path(claim.start),
            updates=[replace(weighted(update, claim.plan), is_root=False)],
            method=Method.of(_plain(claim.plan), claim.round_number),
            target=target,
        )
    except (AggregationRefused, LayoutRefused) as refused:
        if refused.code == "non_finite":
            return None
        raise Unmeasured(refused.code, refused.detail) from refused
    return target


def _plain(plan: Plan) -> Plan:
    """The plan without all that needs several updates, or remembers earlier ones."""
    plain = {
        "rule": PLAIN_RULE,
        "combination": PLAIN_COMBINATION,
        "root": None,
        "normalise_steps": False,
    }
    aggregation = plan.aggregation.model_copy(update=plain)
    return plan.model_copy(update={"aggregation": aggregation, "server": Server()})
