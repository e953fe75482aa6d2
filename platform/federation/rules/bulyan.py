"""Bulyan's first stage: those that Krum would choose one after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from federation.breakdown import BULYAN, Breakdown, Guard
from federation.rules.base import Evidence, Weights, among, counted, rules
from federation.rules.krum import nearest_first


@rules.register("bulyan")
@dataclass(frozen=True, slots=True)
class Bulyan(Guard):
    """Selects n − 2f updates: Krum's choice, then its choice among the rest, and so on.

    El Mhamdi et al. 2018, arXiv:1802.07927. Its second stage is the combination `near_median`, and
    only both together are Bulyan. The last few choices are made among fewer updates than Krum
    asks for, as in the paper; a neighbour is always looked at.
    """

    breakdown: ClassVar[Breakdown] = BULYAN
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = False

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        left = counted(shares)
        chosen: list[int] = []
        for _ in range(max(1, len(left) - 2 * self.liars)):
            best = nearest_first(evidence, left, self.liars)[0]
            chosen.append(best)
            left.remove(best)
        return among(chosen, shares)
