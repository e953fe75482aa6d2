"""Between the rows of a valuation and the game of `federation.valuation`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any
from uuid import UUID

from federation import valuation as pure
from federation.plan_valuation import ValuationSpec
from hub.contributions.models import CoalitionScore, Valuation

Coalition = pure.Coalition


def spec_of(found: Valuation) -> ValuationSpec:
    return ValuationSpec.model_validate(found.spec)


def method_of(found: Valuation) -> tuple[str, pure.Method]:
    """Its name and the method itself, for as many as play."""
    return spec_of(found).method_for(_playing(found))


def game_of(found: Valuation) -> pure.Valuation:
    """Raises ValuationRefused where nobody took part."""
    return pure.Valuation(
        method=method_of(found)[1],
        players={player["id"]: player["weight"] for player in found.players},
        seed=found.seed,
        clusters=tuple(map(frozenset, found.clusters)),
        trim=spec_of(found).trim,
    )


def settings_of(found: Valuation) -> dict[str, Any]:
    """The method's settings, as its record has them."""
    return asdict(method_of(found)[1])  # type: ignore[call-overload,no-any-return]


def _playing(found: Valuation) -> int:
    """A cluster plays as one."""
    return len(found.players) - sum(len(each) - 1 for each in found.clusters)


def table_of(found: Valuation) -> pure.Table:
    """All that is measured so far. Raises ValuationRefused where it does not go together."""
    ids = ids_of(found)
    measured = found.scores.filter(losses__isnull=False).order_by("id")
    return pure.Table.of(measured_of(ids, one) for one in measured)


def measured_of(ids: list[str], row: CoalitionScore) -> pure.Measured:
    """A row as the game takes it. `ids`: of the players, in their order."""
    assert row.losses is not None
    assert row.counts is not None
    bins = tuple(pure.Bin(*one) for one in zip(row.losses, row.counts, strict=True))
    owner = str(row.owner_id) if row.owner_id else None
    return pure.Measured(members_of(ids, row.coalition), owner, bins)


def ids_of(found: Valuation) -> list[str]:
    return [player["id"] for player in found.players]


def members_of(ids: list[str], places: Iterable[int]) -> Coalition:
    return frozenset(ids[place] for place in places)


def places_of(ids: list[str], coalition: Coalition) -> list[int]:
    return [place for place, player in enumerate(ids) if player in coalition]


def sums_of(measured: pure.Measured) -> dict[str, Any]:
    """The columns of a row that say what was measured."""
    return {
        "losses": [one.loss for one in measured.bins],
        "counts": [one.count for one in measured.bins],
    }


def is_of_coalitions(method: str) -> bool:
    """Whether a method looks at models of coalitions, as most do."""
    return evidence_of(method) == "coalitions"


def evidence_of(method: str) -> pure.Evidence:
    evidence: pure.Evidence = pure.valuations[method].evidence  # type: ignore[attr-defined]
    return evidence


def known_before(found: Valuation, owner: UUID | None) -> Mapping[tuple[int, ...], CoalitionScore]:
    """What other valuations of the round have measured on the same examples, by coalition.

    The same players, weights and examples give the same losses, so nothing is measured twice.
    """
    if not is_of_coalitions(found.method):
        return {}
    alike = CoalitionScore.objects.filter(
        valuation__round=found.round_id,
        valuation__probe=found.probe,
        valuation__spec__examples=spec_of(found).examples,
        valuation__players=found.players,
        valuation__method__in=filter(is_of_coalitions, pure.valuations),
        owner=owner,
        losses__isnull=False,
    ).exclude(valuation=found)
    return {tuple(row.coalition): row for row in alike.order_by("-id")}
