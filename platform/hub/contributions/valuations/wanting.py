"""What is to be measured next: rows that wait, and those that are known already."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from federation import valuation as pure
from federation.valuation.cgsv import cosines
from hub.contributions.models import CoalitionScore, Valuation
from hub.contributions.valuations.rows import (
    game_of,
    ids_of,
    known_before,
    places_of,
    sums_of,
    table_of,
)
from hub.runs.models import Comparison

Known = Mapping[tuple[int, ...], CoalitionScore]


def want_more(found: Valuation) -> bool:
    """Note what the method asks to be measured next on the public set; says whether it asks.

    What was measured for another valuation is taken from there. Raises ValuationRefused.
    """
    game, known = game_of(found), known_before(found, None)
    while wanted := game.wanted(table_of(found), None):
        if note(found, None, wanted, known):
            return True
    return False


def note(
    found: Valuation, owner: UUID | None, wanted: Sequence[pure.Coalition], known: Known
) -> bool:
    """Write a row for each coalition; says whether one of them is still to be measured."""
    ids = ids_of(found)
    places = [places_of(ids, coalition) for coalition in wanted]
    _write(_row(found, owner, one, known.get(tuple(one))) for one in places)
    return any(tuple(one) not in known for one in places)


def _row(
    found: Valuation, owner: UUID | None, places: list[int], known: CoalitionScore | None
) -> CoalitionScore:
    sums = {"losses": known.losses, "counts": known.counts} if known else {}
    return CoalitionScore(valuation=found, owner_id=owner, coalition=places, **sums)


def keep(found: Valuation, measured: Iterable[pure.Measured]) -> None:
    """Write rows of what is measured already."""
    ids = ids_of(found)
    _write(
        CoalitionScore(
            valuation=found,
            owner_id=one.owner,
            coalition=places_of(ids, one.coalition),
            **sums_of(one),
        )
        for one in measured
    )


def _write(rows: Iterable[CoalitionScore]) -> None:
    CoalitionScore.objects.bulk_create(rows, ignore_conflicts=True, batch_size=1000)


def compare_directions(found: Valuation) -> None:
    """For CGSV: how far each goes the way of all, from the products that the round was judged by.

    Raises ValuationRefused where the updates have not been compared.
    """
    keep(found, cosines(ids_of(found), _products(found), _weights(found)))


def _weights(found: Valuation) -> list[float]:
    return [player["weight"] for player in found.players]


def _products(found: Valuation) -> list[list[float]]:
    """⟨Δᵢ, Δⱼ⟩ of players; the change of one with two updates is their weighted mean."""
    compared = Comparison.objects.filter(round=found.round).first()
    place = {digest: number for number, digest in enumerate(compared.digests if compared else ())}
    if compared is None or not {d for p in found.players for d in p["updates"]} <= place.keys():
        raise pure.ValuationRefused("not_measured", "the updates have not been compared")
    parts = [_parts(player["updates"], place, found) for player in found.players]
    return [[_product(one, other, compared.products) for other in parts] for one in parts]


def _parts(
    digests: Sequence[str], place: Mapping[str, int], found: Valuation
) -> list[tuple[int, float]]:
    """Where a player's updates stand in the comparison, and what share of the player each is."""
    examples = dict(
        found.round.counted.filter(artifact__in=digests).values_list("artifact_id", "examples")
    )
    total = sum(examples.values())
    return [(place[one], examples[one] / total) for one in digests]


def _product(
    one: Sequence[tuple[int, float]],
    other: Sequence[tuple[int, float]],
    products: Sequence[Sequence[float]],
) -> float:
    return sum(a * b * products[i][j] for i, a in one for j, b in other)
