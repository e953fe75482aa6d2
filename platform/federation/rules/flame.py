"""FLAME: the majority that points the same way, none of it longer than the median."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, groupby
from statistics import median
from typing import ClassVar

from federation.breakdown import MAJORITY, Breakdown, Guard
from federation.rules.base import Evidence, Weights, among, counted, rules


@rules.register("flame")
@dataclass(frozen=True, slots=True)
class Flame(Guard):
    """Keeps the tightest cluster of directions that holds a majority, clipped to the median norm.

    Nguyen et al. 2021, arXiv:2101.02281. The paper clusters cosine distances by HDBSCAN with
    clusters of n/2 + 1 at least and one neighbour. Two such clusters cannot be, so its hierarchy
    never divides, and one neighbour makes its distances the plain ones: what it labels is the
    component of single linkage that is the first to hold a majority as the distance grows, which
    is what is computed here. Links of the same length are made together.

    Left out: the noise that the paper adds, which blurs backdoors at the price of accuracy.
    """

    breakdown: ClassVar[Breakdown] = MAJORITY
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = False

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        places = counted(shares)
        kept = among(majority(evidence, places), shares).shares
        limit = median(evidence.norm(place) for place in places)
        factors = (limit / norm if norm > limit else 1.0 for norm in evidence.norms)
        return Weights(kept, tuple(factors))


def majority(evidence: Evidence, places: Sequence[int]) -> frozenset[int]:
    """The first connected component with more than half of `places`, as links grow longer."""

    def length(link: tuple[int, int]) -> float:
        return 1.0 - evidence.cosine(*link)

    groups = {place: frozenset({place}) for place in places}
    largest: frozenset[int] = frozenset(places[:1])
    for _, links in groupby(sorted(combinations(places, 2), key=length), key=length):
        for one, other in links:
            if other not in groups[one]:
                joined = groups[one] | groups[other]
                groups.update(dict.fromkeys(joined, joined))
                largest = max(largest, joined, key=len)
        if 2 * len(largest) > len(places):
            break
    return largest
