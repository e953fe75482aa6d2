"""What a run's credits follow from: its recorded values, and the cases about its updates."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from uuid import UUID

from django.db.models import Prefetch, QuerySet

from federation.plan import Plan
from federation.valuation import rewards
from hub.contributions.models import (
    IN_FORCE,
    SUSPECT,
    Case,
    CaseState,
    Valuation,
    ValuationState,
    Value,
)
from hub.contributions.valuations.clusters import clusters_in
from hub.runs.models import Run


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether a run's credits can be split; `reason` says why not, in the words of `WAITS`."""

    reason: str = ""

    @property
    def is_ready(self) -> bool:
        return not self.reason

    @property
    def words(self) -> str:
        return WAITS[self.reason]


WAITS: Mapping[str, str] = {
    "": "The credits can be split.",
    "none_promised": "The plan of this run promises no credits.",
    "going_on": "The run has not ended.",
    "valuing": "Contributions are still being measured.",
    "no_values": "No contribution to this run was measured.",
    "cases_open": "A case about updates of this run is open.",
}


def standing_of(run: Run, plan: Plan) -> Standing:
    """Whether its credits can be split now."""
    if not plan.rewards.are_promised:
        return Standing("none_promised")
    if not run.is_final:
        return Standing("going_on")
    states = set(_planned(run).values_list("state", flat=True))
    if states & {ValuationState.QUEUED, ValuationState.MEASURING}:
        return Standing("valuing")
    if ValuationState.RECORDED not in states:
        return Standing("no_values")
    if Case.objects.filter(run=run, state=CaseState.OPEN).exists():
        return Standing("cases_open")
    return Standing()


def _planned(run: Run) -> QuerySet[Valuation]:
    return Valuation.objects.filter(round__run=run, is_planned=True)


@dataclass(frozen=True)
class Basis:
    """Values by round, and by the cases in force who counts as one and who for nothing.

    `rounds`: for each valuation that is recorded, the key of its entry and its values.
    """

    rounds: Mapping[str, Mapping[str, float]]
    clusters: tuple[frozenset[str], ...]
    suspects: frozenset[str]

    @cached_property
    def values(self) -> dict[str, float]:
        """The sum over the rounds of everybody who took part in one, sorted by id."""
        adjusted = [self._adjusted(values) for values in self.rounds.values()]
        players = sorted({player for values in adjusted for player in values})
        return {
            player: fsum(values[player] for values in adjusted if player in values)
            for player in players
        }

    def _adjusted(self, values: Mapping[str, float]) -> dict[str, float]:
        """Who brought the same shares the value of one of them, the highest; suspects have none."""
        found = {**values, **dict.fromkeys(self.suspects & values.keys(), 0.0)}
        for cluster in self.clusters:
            together = sorted(cluster & found.keys())
            if len(together) > 1:
                joint = max(found[player] for player in together)
                found |= dict.fromkeys(together, joint / len(together))
        return found

    def split(self, plan: Plan, seed: str) -> rewards.Split:
        return rewards.credits_of(plan.rewards.budget, self.values, plan.rewards.rule, seed)


def basis_of(run: Run) -> Basis:
    """What a run's credits follow from as things stand."""
    recorded = (
        _planned(run)
        .filter(state=ValuationState.RECORDED)
        .order_by("round__number", "number")
        .prefetch_related(Prefetch("values", Value.objects.defer("shaken")))
    )
    known: dict[str, dict[str, float]] = {}
    grouped: set[frozenset[str]] = set()
    for valuation in recorded:
        known[f"valuation:{valuation.pk}"] = {
            str(value.participation_id): value.phi for value in valuation.values.all()
        }
        grouped |= {frozenset(cluster) for cluster in valuation.clusters}
    return Basis(
        rounds=known,
        clusters=tuple(_new(clusters_in(run), grouped)),
        suspects=_suspects(run),
    )


def _suspects(run: Run) -> frozenset[str]:
    """Whose updates count for nothing, by the cases that are open or upheld."""
    cases = Case.objects.filter(run=run, kind__in=SUSPECT, state__in=IN_FORCE)
    return frozenset(
        str(one) for named in cases.values_list("participations", flat=True) for one in named
    )


def _new(clusters: Iterable[Iterable[UUID]], grouped: set[frozenset[str]]) -> list[frozenset[str]]:
    """Clusters that the values do not share among themselves already."""
    named = {frozenset(map(str, cluster)) for cluster in clusters}
    return sorted(named - grouped, key=sorted)
