"""Splitting the credits of a run: once, when it has ended and all is known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from federation.valuation.rewards import Split
from hub.accounts.models import User
from hub.common.actors import HUB, Actor
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.contributions.errors import NotGrantable
from hub.contributions.models import Credit, CreditKind, Reward, ValuationState
from hub.contributions.rewards.basis import Basis, basis_of, standing_of, with_standing
from hub.federations.selectors import require_place
from hub.ledger.models import EntryType
from hub.ledger.services import append
from hub.organisations.permissions import Permission
from hub.runs.models import Run, RunState
from hub.runs.services.locks import database_now

LABEL = b"foedus/rewards/v1"


def grant_what_is_due(*, limit: int = 20) -> int:
    """Split the credits of runs that have ended and are valued; returns of how many."""
    due = Run.objects.filter(
        Q(plan__rewards__budget__gt=0),
        state__in=(RunState.COMPLETED, RunState.FAILED, RunState.CANCELLED),
        reward__isnull=True,
        rounds__valuations__state=ValuationState.RECORDED,
    )
    runs = due.order_by("ended_at").values_list("pk", flat=True).distinct()[:limit]
    return sum(_grant_if_ready(run_id) for run_id in runs)


@transaction.atomic
def _grant_if_ready(run_id: UUID) -> bool:
    run = _locked(run_id)
    if Reward.objects.filter(run=run).exists() or not standing_of(run).is_ready:
        return False
    _grant(run, HUB)
    return True


@transaction.atomic
def grant_now(*, user: User, run_id: UUID) -> Reward:
    """Split a run's credits though a case is open: it counts as if it had been upheld.

    Split again, the first stands.

    Raises:
        NotFound: no such run of the person's federations.
        Forbidden: the person may not, or not in this federation.
        NotGrantable: something else is missing.
    """
    run = _locked(run_id)
    require_place(user, run.federation_id, Permission.GRANT_CREDITS)
    if earlier := Reward.objects.filter(run=run).first():
        return earlier
    standing = standing_of(run)
    if standing.reason not in {"", "cases_open"}:
        raise NotGrantable(standing.words)
    return _grant(run, user.actor)


def _locked(run_id: UUID) -> Run:
    runs = with_standing(Run.objects.select_for_update(of=("self",)))
    found = runs.select_related("federation").filter(pk=run_id).first()
    if found is None:
        raise NotFound("no such run")
    return found


def _grant(run: Run, actor: Actor) -> Reward:
    plan, basis, seed = run.typed_plan, basis_of(run), seed_of(run)
    split = basis.split(plan, seed)
    now = database_now()
    reward = Reward.objects.create(
        run=run,
        budget=plan.rewards.budget,
        rule=asdict(plan.rewards.rule),
        seed=seed,
        release_at=now + timedelta(days=plan.rewards.hold_days),
        released_at=None if any(split.held.values()) else now,
    )
    key = f"reward:{reward.pk}"
    Credit.objects.bulk_create(
        Credit(
            reward=reward,
            participation_id=UUID(player),
            kind=CreditKind.GRANTED,
            value=value,
            paid=split.paid[player],
            held=split.held[player],
            entry=key,
        )
        for player, value in basis.values.items()
    )
    payload = {"reward": str(reward.pk), "run": str(run.pk), **told(reward, basis, split)}
    append(ledger=run.federation_id, type=EntryType.REWARD_GRANTED, key=key, payload=payload)
    run.record("rewarded", actor=actor, data={"run": run.name, "credits": reward.budget})
    wake(f"run:{run.pk}", f"federation:{run.federation_id}")
    return reward


def seed_of(run: Run) -> str:
    """Nobody chooses it: the digest of the plan was fixed before the first round."""
    return sha256(LABEL + bytes.fromhex(run.plan_digest)).hexdigest()


def told(reward: Reward, basis: Basis, split: Split) -> Mapping[str, Any]:
    """All that the credits follow from, for the ledger: who has it can split them again."""
    return {
        "budget": reward.budget,
        "rule": reward.rule,
        "seed": reward.seed,
        "valuations": [one.entry for one in basis.rounds],
        "clusters": [
            {"participations": sorted(cluster), "rounds": basis.rounds_of(cluster)}
            for cluster in basis.clusters
        ],
        "suspects": [
            {"participation": player, "rounds": sorted(rounds)}
            for player, rounds in sorted(basis.suspects.items())
        ],
        "credits": [
            {
                "participation": player,
                "value": value,
                "paid": split.paid[player],
                "held": split.held[player],
            }
            for player, value in basis.values.items()
        ],
        "left": split.left,
    }
