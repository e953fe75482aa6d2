"""Credits as pages and the API show them: by organisation, and by run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import Prefetch, QuerySet, Sum

from hub.accounts.models import User
from hub.contributions.models import Credit, Reward
from hub.contributions.rewards.basis import Standing, standing_of, with_standing
from hub.federations.models import Federation
from hub.federations.selectors import federations_of
from hub.runs.models import Run


@dataclass(frozen=True, slots=True)
class Balance:
    """What one participation has, and what is held back."""

    participation: UUID
    paid: int
    held: int


def credits_visible_to(user: User) -> QuerySet[Credit]:
    """Credits of the person's federations."""
    return Credit.objects.filter(reward__run__federation__in=federations_of(user)).select_related(
        "reward__run", "participation__organisation"
    )


def balances_of(federation: Federation) -> list[Balance]:
    """Of everybody who ever had a credit, those with most first."""
    return _sums(Credit.objects.filter(reward__run__federation=federation))


def _sums(credits_: QuerySet[Credit]) -> list[Balance]:
    sums = credits_.order_by().values_list("participation").annotate(Sum("paid"), Sum("held"))
    found = [Balance(*row) for row in sums]
    return sorted(found, key=lambda one: (-one.paid - one.held, one.participation))


@dataclass(frozen=True, slots=True)
class RunCredits:
    """A run that promises credits: split, or not yet."""

    run: Run
    reward: Reward | None
    balances: list[Balance]

    @property
    def standing(self) -> Standing:
        return standing_of(self.run)

    @property
    def budget(self) -> int:
        return self.run.typed_plan.rewards.budget

    @property
    def left(self) -> int:
        """What nobody earned, or lost since."""
        return self.budget - sum(one.paid + one.held for one in self.balances)


def promising_runs(federation: Federation) -> QuerySet[Run]:
    """Runs whose plan promises credits, the newest first; with what `credits_in` needs."""
    credits_ = Prefetch("reward__credits", Credit.objects.order_by("id"))
    runs = Run.objects.filter(federation=federation, plan__rewards__budget__gt=0)
    return (
        with_standing(runs).select_related("reward").prefetch_related(credits_).order_by("-number")
    )


def credits_in(run: Run) -> RunCredits:
    reward: Reward | None = getattr(run, "reward", None)
    rows = list(reward.credits.all()) if reward else []
    return RunCredits(run, reward, _added(rows))


def _added(rows: list[Credit]) -> list[Balance]:
    sums: dict[UUID, tuple[int, int]] = {}
    for row in rows:
        paid, held = sums.get(row.participation_id, (0, 0))
        sums[row.participation_id] = paid + row.paid, held + row.held
    found = [Balance(player, *counts) for player, counts in sums.items()]
    return sorted(found, key=lambda one: (-one.paid - one.held, one.participation))


def named(balances: list[Balance], places: Mapping[UUID, Any]) -> list[dict[str, Any]]:
    """Balances with their places, for a page."""
    return [{"balance": one, "place": places[one.participation]} for one in balances]
