"""Krum: the update with the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from federation.breakdown import KRUM, Breakdown, Guard
from federation.rules.base import Evidence, Weights, among, counted, rules


@rules.register("krum")
@dataclass(frozen=True, slots=True)
class Krum(Guard):
    """Takes one update, the one nearest to its n − f − 2 neighbours.

    Blanchard et al. 2017, arXiv:1703.02757. Distances are those of the changes of the model.
    """

    breakdown: ClassVar[Breakdown] = KRUM
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = False

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        return among(nearest_first(evidence, counted(shares), self.liars)[:1], shares)


def nearest_first(evidence: Evidence, places: Sequence[int], liars: int) -> list[int]:
    """Some of the updates by Krum's score, the best first; judged among themselves.

    Two neighbours are looked at even where n − f − 2 is less: of two that are each other's only
    one, neither would be the better.
    """
    close = max(2, len(places) - liars - 2)

    def score(one: int) -> float:
        far = (evidence.distance_square(one, other) for other in places if other != one)
        return sum(sorted(far)[:close])

    return sorted(places, key=score)
