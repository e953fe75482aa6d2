"""What a run's credits follow from: its recorded values, and the cases about its updates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import fsum
from typing import Any

from django.db.models import Exists, OuterRef, Prefetch, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.plan import Plan
from federation.valuation import rewards
from hub.contributions.cases.selectors import clusters_of, suspects_of
from hub.contributions.models import Case, CaseState, Valuation, ValuationState, Value
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
        return _(WAITS[self.reason])


GOING_ON = (ValuationState.QUEUED, ValuationState.MEASURING)
WAITS: Mapping[str, str] = {
    "": _noop("The credits can be split."),
    "none_promised": _noop("The plan of this run promises no credits."),
    "going_on": _noop("The run has not ended."),
    "valuing": _noop("Contributions are still being measured."),
    "no_values": _noop("No contribution to this run was measured."),
    "cases_open": _noop("A case about updates of this run is open."),
}


def with_standing(runs: QuerySet[Run]) -> QuerySet[Run]:
    """Runs with what `standing_of` looks at, so that a list takes no query for each."""
    planned = Valuation.objects.filter(round__run=OuterRef("pk"), is_planned=True)
    cases = Case.objects.filter(run=OuterRef("pk"), state=CaseState.OPEN)
    return runs.annotate(
        is_valuing=Exists(planned.filter(state__in=GOING_ON)),
        is_valued=Exists(planned.filter(state=ValuationState.RECORDED)),
        has_open_case=Exists(cases),
    )


def standing_of(run: Run) -> Standing:
    """Whether its credits can be split now. Needs `with_standing`."""
    found: Any = run
    reasons = {
        "none_promised": not run.typed_plan.rewards.are_promised,
        "going_on": not run.is_final,
        "valuing": found.is_valuing,
        "no_values": not found.is_valued,
        "cases_open": found.has_open_case,
    }
    return Standing(next((reason for reason, holds in reasons.items() if holds), ""))


def _planned(run: Run) -> QuerySet[Valuation]:
    return Valuation.objects.filter(round__run=run, is_planned=True)


@dataclass(frozen=True, slots=True)
class Valued:
    """The values of one round, by participation. `entry`: the key by which the ledger has them."""

    entry: str
    round: int
    values: Mapping[str, float]
    shared: frozenset[frozenset[str]] = frozenset()  # clusters that played as one, so share already


@dataclass(frozen=True)
class Basis:
    """Values by round, and by the cases in force who counts as one and who for nothing, and when.

    Cases may have come after the first rounds were valued, so a cluster has shared in some of them.
    """

    rounds: tuple[Valued, ...]
    clusters: tuple[frozenset[str], ...]
    suspects: Mapping[str, frozenset[int]]

    @cached_property
    def values(self) -> dict[str, float]:
        """The sum over the rounds of everybody who took part in one, sorted by id."""
        adjusted = [self._adjusted(one) for one in self.rounds]
        players = sorted({player for values in adjusted for player in values})
        return {
            player: fsum(values[player] for values in adjusted if player in values)
            for player in players
        }

    def _adjusted(self, valued: Valued) -> dict[str, float]:
        """Who brought the same shares the value of one of them, the highest; suspects have none."""
        found = {
            player: 0.0 if valued.round in self.suspects.get(player, ()) else value
            for player, value in valued.values.items()
        }
        for cluster in self.clusters:
            together = sorted(cluster & found.keys())
            if len(together) > 1 and cluster not in valued.shared:
                joint = max(found[player] for player in together)
                found |= dict.fromkeys(together, joint / len(together))
        return found

    def rounds_of(self, cluster: frozenset[str]) -> list[int]:
        """The rounds in whose values it has not shared already."""
        return sorted(one.round for one in self.rounds if cluster not in one.shared)

    def split(self, plan: Plan, seed: str) -> rewards.Split:
        return rewards.credits_of(plan.rewards.budget, self.values, plan.rewards.rule, seed)


def basis_of(run: Run) -> Basis:
    """What a run's credits follow from as things stand."""
    recorded = (
        _planned(run)
        .filter(state=ValuationState.RECORDED)
        .select_related("round")
        .order_by("round__number", "number")
        .prefetch_related(Prefetch("values", Value.objects.defer("shaken")))
    )
    clusters = (frozenset(map(str, cluster)) for cluster in clusters_of(run))
    return Basis(
        rounds=tuple(map(_valued, recorded)),
        clusters=tuple(sorted(clusters, key=sorted)),
        suspects={str(one): frozenset(when) for one, when in suspects_of(run).items()},
    )


def _valued(found: Valuation) -> Valued:
    values = {str(value.participation_id): value.phi for value in found.values.all()}
    shared = frozenset(map(frozenset, found.clusters))
    return Valued(f"valuation:{found.pk}", found.round.number, values, shared)
