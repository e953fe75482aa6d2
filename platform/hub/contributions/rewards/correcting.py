"""Credits follow what was decided after they were split: by more credits, never by changed ones."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import Sum
from django.utils.translation import gettext as _

from federation.valuation.rewards import Split
from hub.accounts.models import User
from hub.common.errors import NotFound
from hub.contributions.errors import NothingToCorrect
from hub.contributions.models import Credit, CreditKind, Reward
from hub.contributions.rewards.basis import Basis, basis_of
from hub.contributions.rewards.granting import told
from hub.contributions.rewards.paying import lines, upheld_in
from hub.federations.selectors import require_place
from hub.ledger.models import EntryType
from hub.ledger.services import append
from hub.organisations.permissions import Permission


@transaction.atomic
def correct(*, user: User, run_id: UUID) -> list[Credit]:
    """Split a run's credits by the cases as they stand now, and write the differences.

    Corrected again without anything new, there is nothing to correct.

    Raises:
        NotFound: no such run of the person's federations, or its credits were not split.
        Forbidden: the person may not, or not in this federation.
        NothingToCorrect: everybody has what they would get.
    """
    rewards = Reward.objects.select_for_update(of=("self",)).select_related("run__federation")
    reward = rewards.filter(run=run_id).first()
    if reward is None:
        raise NotFound("no credits of such a run")
    run = reward.run
    require_place(user, run.federation_id, Permission.GRANT_CREDITS)
    basis = basis_of(run)
    split = basis.split(run.typed_plan, reward.seed)
    key = f"reward:{reward.pk}:corrected:{_corrections(reward) + 1}"
    changes = _changes(reward, key, basis, split)
    if not changes:
        raise NothingToCorrect(_("Everybody has the credits that follow from what is known."))
    Credit.objects.bulk_create(changes)
    payload = {
        "corrects": f"reward:{reward.pk}",
        "reward": str(reward.pk),
        "run": str(run.pk),
        **told(reward, basis, split),
        "changes": lines(changes),
    }
    append(ledger=run.federation_id, type=EntryType.CORRECTION, key=key, payload=payload)
    run.record("credits_corrected", actor=user.actor, data={"run": run.name})
    return changes


def _corrections(reward: Reward) -> int:
    corrected = reward.credits.filter(kind=CreditKind.CORRECTED)
    return corrected.values("entry").distinct().count()


def _changes(reward: Reward, key: str, basis: Basis, split: Split) -> list[Credit]:
    """What brings everybody from what it has to what it should have."""
    has = {player: counts for player, *counts in _balances(reward)}
    should = _due(reward, split)
    return [
        Credit(
            reward=reward,
            participation_id=player,
            kind=CreditKind.CORRECTED,
            value=basis.values.get(str(player)),
            paid=should.get(player, (0, 0))[0] - has.get(player, (0, 0))[0],
            held=should.get(player, (0, 0))[1] - has.get(player, (0, 0))[1],
            entry=key,
        )
        for player in sorted(has.keys() | should.keys(), key=str)
        if tuple(should.get(player, (0, 0))) != tuple(has.get(player, (0, 0)))
    ]


def _due(reward: Reward, split: Split) -> dict[UUID, tuple[int, int]]:
    """What each should have now, paid and held: after the time, all is paid or forfeited."""
    players = {UUID(player): (split.paid[player], split.held[player]) for player in split.paid}
    if reward.released_at is None:
        return players
    lost = upheld_in(reward.run)
    return {
        player: (paid + (0 if player in lost else held), 0)
        for player, (paid, held) in players.items()
    }


def _balances(reward: Reward) -> list[tuple[UUID, int, int]]:
    sums = reward.credits.values_list("participation").annotate(Sum("paid"), Sum("held"))
    return list(sums.order_by("participation"))
