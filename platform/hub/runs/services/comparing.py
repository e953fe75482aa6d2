"""The updates of a round beside each other, before it is frozen: who looks wrong to its peers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from federation.failpoints import failpoint
from federation.rules import Evidence
from federation.suspicion import Bearing, Losses, bearings, sign_of
from hub.common.wakeups import wake
from hub.runs.entries import tell_judged
from hub.runs.errors import StaleClaim
from hub.runs.models import Comparison, Round, RoundState, RunState, Update, UpdateState
from hub.runs.services.claims import Claim, take_hold
from hub.runs.services.locks import lock_round
from hub.runs.services.patience import grant_time
from hub.runs.services.probing import Probed, held_updates, losses_of
from hub.runs.services.rounds import advance, is_compared, settled


@transaction.atomic
def claim_comparison(*, round_id: UUID) -> Claim | None:
    """Take hold of a round whose verdicts are in; nothing where no comparison is due."""
    current = lock_round(round_id)
    if current.state != RoundState.COLLECTING or current.run.state != RunState.RUNNING:
        return None
    accepted = settled(current)
    if not accepted or is_compared(current, accepted):
        return None
    return take_hold(current, accepted)


@transaction.atomic
def record_comparison(
    *, round_id: UUID, fence: int, evidence: Evidence, probed: Probed | None = None
) -> None:
    """Keep the evidence, set aside who looks wrong, and take the run's next step.

    `probed`: what each update by itself does to the loss on the run's probe set, if it has one.
    Where the accepted updates are others by now, the evidence is of no use: it is asked for again.

    Raises:
        StaleClaim: another worker has claimed the round since; nothing is written.
    """
    current = lock_round(round_id)
    if current.state != RoundState.COLLECTING or current.fence != fence:
        raise StaleClaim(f"round {current.number}: fence {fence} is not {current.fence}")
    failpoint("W20", "before")
    accepted = settled(current) or []
    if [update.artifact_id for update in accepted] == list(evidence.digests):
        _keep(current, evidence, probed)
        held = held_updates(current.pk) if probed else []
        losses = losses_of(accepted, probed, held=held) if probed else None
        for update, code, found in suspects(accepted, evidence, losses):
            set_aside(current, update, code=code, evidence=found)
    current.claimed_until = None
    current.attempts = 0
    current.save(update_fields=["claimed_until", "attempts"])
    transaction.on_commit(lambda: failpoint("W20", "after"))
    advance(current.run, current)


def _keep(current: Round, evidence: Evidence, probed: Probed | None) -> None:
    Comparison.objects.update_or_create(
        round=current,
        defaults={
            "digests": list(evidence.digests),
            "products": [list(row) for row in evidence.products],
            "probe_failure": probed.failure if probed else "",
        },
    )


def suspects(
    updates: Sequence[Update], evidence: Evidence, losses: Losses | None = None
) -> Iterator[tuple[Update, str, dict[str, Any]]]:
    """Which updates show a sign, its code, and what was found; the same whenever it is asked.

    `updates` are those of evidence and losses, in their order. What a person has accepted stays
    accepted.
    """
    came = sorted(updates, key=lambda update: (update.created_at, update.artifact_id))
    arrivals = [came.index(update) for update in updates]
    for update, one in zip(updates, bearings(evidence, arrivals, losses), strict=False):
        code = sign_of(one)
        if code and update.judged_by_id is None:
            yield update, code, _told(one, updates[one.nearest])


def _told(one: Bearing, nearest: Update) -> dict[str, Any]:
    """The evidence as it stands in the row, for people and their scripts."""
    return {
        "norm": one.norm,
        "usual_norm": one.usual_norm,
        "cosine_to_others": one.cosine_to_others,
        "agreement": one.agreement,
        "nearest": {
            "update": str(nearest.pk),
            "organisation": nearest.participation.organisation.name,
            "cosine": one.nearest_cosine,
        },
        **({"usual_loss_change": one.harm.usual} if one.harm else {}),
    }


def set_aside(current: Round, update: Update, *, code: str, evidence: Mapping[str, Any]) -> None:
    """Hold an accepted update until a person has decided, who gets the time for it."""
    update.round.run = current.run
    grant_time(current)
    update.move_to(
        UpdateState.QUARANTINED,
        reason=code,
        verdict_code=code,
        evidence={**update.evidence, **evidence},
        data={
            "round": current.number,
            "run": current.run.name,
            "organisation": update.participation.organisation.name,
            "code": code,
        },
    )
    tell_judged(update)
    wake(f"run:{current.run_id}", f"federation:{current.run.federation_id}")
