"""How far a player goes the way of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import ClassVar

from federation.valuation.base import Evidence, valuations
from federation.valuation.games import MILLIONTHS, NOBODY, Bin, Measured
from federation.valuation.singles import Singles


@valuations.register("cgsv")
@dataclass(frozen=True, slots=True)
class Cgsv(Singles):
    """The cosine of a change and the mean of all, each of length one (Xu et al. 2021, NeurIPS).

    It asks for no probe, so it cannot tell what helps from what merely agrees: whoever copies the
    others' direction is paid for it, and noise a little. Over rounds it is a moving average.
    """

    evidence: ClassVar[Evidence] = "cosines"
    memory: float = 0.95  # share of the average that a round leaves as it was

    def over_rounds(self, values: Sequence[float]) -> float:
        average = values[0]
        for value in values[1:]:
            average = self.memory * average + (1 - self.memory) * value
        return average


def cosines(
    players: Sequence[str], products: Sequence[Sequence[float]], weights: Sequence[float]
) -> list[Measured]:
    """What CGSV asks for, from ⟨Δᵢ, Δⱼ⟩ and the weights pᵢ, in the order of the players.

    A player that did not move has no direction: its cosine is 0.
    """
    lengths = [sqrt(max(products[one][one], 0.0)) for one in range(len(players))]

    def cosine(one: int, other: int) -> float:
        both = lengths[one] * lengths[other]
        return products[one][other] / both if both > 0 else 0.0

    places = range(len(players))
    towards = [fsum(weights[other] * cosine(one, other) for other in places) for one in places]
    length = sqrt(max(fsum(w * t for w, t in zip(weights, towards, strict=True)), 0.0))
    found = [value / length if length > 0 else 0.0 for value in towards]
    return [
        _measured([], 0.0),
        *(_measured([player], value) for player, value in zip(players, found, strict=True)),
    ]


def _measured(players: Sequence[str], cosine: float) -> Measured:
    """As a loss, of which less is better."""
    loss = round((1 - cosine) * MILLIONTHS)
    return Measured(frozenset(players) or NOBODY, None, (Bin(loss, 1),))
