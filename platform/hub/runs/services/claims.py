"""A hub worker's hold on a round while it compares or aggregates: claimed, renewed, overtaken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction

from federation.plan import Plan
from federation.rules import Evidence
from hub.common.actors import HUB
from hub.common.wakeups import wake
from hub.runs.models import Comparison, Round, RoundState, Run, RunState, Update
from hub.runs.services.lifecycle import end_round
from hub.runs.services.locks import database_now, lock_round

MOST_ATTEMPTS = 5  # of computing one thing for a round, before it fails with a reason
CLAIMABLE = (RoundState.COLLECTING, RoundState.AGGREGATING)


@dataclass(frozen=True, slots=True)
class Claim:
    """A hub worker's hold on one round, until it expires or is overtaken."""

    round_id: UUID
    round_number: int
    fence: int
    run: Run
    plan: Plan
    start: str  # sha256 of the adapter the round started from
    updates: tuple[Update, ...]  # sorted by digest
    evidence: Evidence | None = None  # what is known of exactly these updates
    optimiser_state: str | None = None  # sha256 of what the server's optimiser goes on from
    # Of which updates it holds control variates: participation → digest of the statement.
    control_after: Mapping[str, str] = field(default_factory=dict)
    attempt: int = 1  # of this piece of work


def take_hold(current: Round, updates: Sequence[Update]) -> Claim | None:
    """Claim a round that is locked; nothing while another worker has it.

    What has killed its workers too often is given up: the round fails with the reason.
    """
    now = database_now()
    if current.claimed_until is not None and current.claimed_until > now:
        return None
    if current.attempts >= MOST_ATTEMPTS:
        what = "aggregation" if current.state == RoundState.AGGREGATING else "comparing"
        _give_up(current, code="gave_up", reason=f"{what} died {MOST_ATTEMPTS} times")
        return None
    current.fence += 1
    current.attempts += 1
    current.claimed_until = now + timedelta(seconds=settings.CLAIM_SECONDS)
    current.save(update_fields=["fence", "attempts", "claimed_until"])
    return claim_of(current, updates)


def claim_of(current: Round, updates: Sequence[Update]) -> Claim:
    """What a worker needs of a round to compute with these of its updates."""
    return Claim(
        round_id=current.pk,
        round_number=current.number,
        fence=current.fence,
        run=current.run,
        plan=current.run.typed_plan,
        start=current.start_id,
        updates=tuple(updates),
        evidence=_evidence(current, updates),
        attempt=current.attempts,
    )


def _evidence(current: Round, updates: Sequence[Update]) -> Evidence | None:
    digests = [update.artifact_id for update in updates]
    found = Comparison.objects.filter(round=current, digests=digests).first()
    return found.evidence if found else None


def renew_claim(*, round_id: UUID, fence: int) -> bool:
    """Hold on for longer; false when the claim has been overtaken."""
    later = database_now() + timedelta(seconds=settings.CLAIM_SECONDS)
    held = Round.objects.filter(pk=round_id, fence=fence, state__in=CLAIMABLE)
    return bool(held.update(claimed_until=later))


@transaction.atomic
def give_up(*, round_id: UUID, fence: int, code: str, reason: str) -> None:
    """What was claimed is refused: the round and its run fail with the reason."""
    current = lock_round(round_id)
    if current.state in CLAIMABLE and current.fence == fence:
        _give_up(current, code=code, reason=reason)


def _give_up(current: Round, *, code: str, reason: str) -> None:
    run = current.run
    end_round(current, run=run, code=code, actor=HUB, reason=reason)
    run.move_to(
        RunState.FAILED,
        reason=reason,
        failure_code=code,
        ended_at=database_now(),
        data={"run": run.name},
    )
    wake(f"run:{run.pk}", f"federation:{run.federation_id}")
