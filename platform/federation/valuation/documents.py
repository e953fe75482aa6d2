"""A valuation as it is recorded, and computed again from the record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from federation.valuation.base import valuations
from federation.valuation.games import GAME, Bin, Measured, Table, ValuationRefused
from federation.valuation.valuing import Valuation, Valued


def document_of(name: str, valuation: Valuation, table: Table) -> dict[str, Any]:
    """Everything that the values follow from, ready for canonical JSON.

    `name` is the method's. Players are sorted by id, and a coalition is the places of its players.
    """
    players = sorted(valuation.players)
    place = {player: number for number, player in enumerate(players)}
    return {
        "game": GAME,
        "method": name,
        "settings": asdict(valuation.method),  # type: ignore[call-overload]
        "trim": valuation.trim,
        "samples": valuation.samples,
        "seed": valuation.seed,
        "players": [{"id": player, "weight": valuation.players[player]} for player in players],
        "clusters": sorted(sorted(place[one] for one in each) for each in valuation.clusters),
        "probes": [
            {
                "owner": owner,
                "counts": list(table.counts[owner]),
                "losses": sorted(
                    [sorted(place[one] for one in coalition), list(sums)]
                    for coalition, sums in table.losses[owner].items()
                ),
            }
            for owner in table.owners
        ],
    }


def read_document(document: Mapping[str, Any]) -> tuple[Valuation, Table]:
    """What `document_of` wrote. Raises ValuationRefused for what it could not have written."""
    try:
        return _valuation(document), Table.of(_measured(document))
    except ValuationRefused:
        raise
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise ValuationRefused("unreadable", f"no valuation is written so: {error!r}") from error


def replay(document: Mapping[str, Any]) -> Valued:
    """The values that follow from a record. Raises ValuationRefused."""
    valuation, table = read_document(document)
    return valuation.valued(table)


def _valuation(document: Mapping[str, Any]) -> Valuation:
    if document["game"] != GAME:
        raise ValuationRefused("unreadable", f"{document['game']!r} is no game we know")
    players = [one["id"] for one in document["players"]]
    return Valuation(
        method=valuations[document["method"]](**document["settings"]),
        players={one["id"]: one["weight"] for one in document["players"]},
        seed=document["seed"],
        clusters=tuple(frozenset(players[one] for one in each) for each in document["clusters"]),
        trim=document["trim"],
        samples=document["samples"],
    )


def _measured(document: Mapping[str, Any]) -> Iterator[Measured]:
    players = [one["id"] for one in document["players"]]
    for probe in document["probes"]:
        for places, sums in probe["losses"]:
            coalition = frozenset(players[one] for one in places)
            bins = tuple(Bin(*one) for one in zip(sums, probe["counts"], strict=True))
            yield Measured(coalition, probe["owner"], bins)
