"""What is held back is paid after its time, or not, where a case was upheld meanwhile."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils import timezone

from hub.contributions.models import Case, CaseState, Credit, CreditKind, Reward
from hub.ledger.models import EntryType
from hub.ledger.services import append
from hub.runs.models import Run
from hub.runs.services.locks import database_now


def release_what_is_due(*, limit: int = 20) -> int:
    """Pay what was held back for long enough; returns of how many runs."""
    due = Reward.objects.filter(released_at__isnull=True, release_at__lte=timezone.now())
    return sum(map(release, due.order_by("release_at").values_list("pk", flat=True)[:limit]))


@transaction.atomic
def release(reward_id: UUID) -> bool:
    """Pay or keep what is held, of all of them at once; waits while a case of the run is open.

    Says whether something was done. Called again, there is nothing left to do.
    """
    reward = Reward.objects.select_for_update(of=("self",)).select_related("run").get(pk=reward_id)
    if reward.released_at is not None or reward.release_at > database_now():
        return False
    if Case.objects.filter(run=reward.run, state=CaseState.OPEN).exists():
        return False
    upheld = upheld_in(reward.run)
    key = f"reward:{reward.pk}:released"
    changes = [
        Credit(
            reward=reward,
            participation_id=player,
            kind=CreditKind.FORFEITED if player in upheld else CreditKind.RELEASED,
            paid=0 if player in upheld else held,
            held=-held,
            entry=key,
        )
        for player, held in held_of(reward).items()
    ]
    Credit.objects.bulk_create(changes)
    reward.released_at = database_now()
    reward.save(update_fields=["released_at"])
    append(
        ledger=reward.run.federation_id,
        type=EntryType.REWARD_RELEASED,
        key=key,
        payload={"reward": str(reward.pk), "run": str(reward.run_id), "credits": lines(changes)},
    )
    return True


def held_of(reward: Reward) -> dict[UUID, int]:
    """What is held back of each one's credits."""
    held = (
        reward.credits.values_list("participation").annotate(Sum("held")).order_by("participation")
    )
    return {player: count for player, count in held if count}


def upheld_in(run: Run) -> set[UUID]:
    """Participations about whom a case of the run was upheld."""
    cases = Case.objects.filter(run=run, state=CaseState.UPHELD)
    return {one for named in cases.values_list("participations", flat=True) for one in named}


def lines(changes: list[Credit]) -> list[dict[str, object]]:
    """Credits as the ledger tells them."""
    return [
        {
            "participation": str(one.participation_id),
            "kind": str(one.kind),
            "paid": one.paid,
            "held": one.held,
        }
        for one in changes
    ]
