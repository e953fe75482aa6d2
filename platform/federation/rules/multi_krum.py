"""Multi-Krum: the mean of the updates with the nearest neighbours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from federation.breakdown import KRUM, Breakdown, Guard
from federation.rules.base import Evidence, Weights, among, counted, rules
from federation.rules.krum import nearest_first


@rules.register("multi_krum")
@dataclass(frozen=True, slots=True)
class MultiKrum(Guard):
    """Takes the mean of the `keep` best by Krum's score (Blanchard et al. 2017, arXiv:1703.02757).

    Without `keep` it takes n − f − 2 of them, the most for which the guarantee holds (Damaskinos
    et al. 2019, AggregaThor).
    """

    breakdown: ClassVar[Breakdown] = KRUM
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = False

    keep: int | None = None

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        places = counted(shares)
        keep = self.keep or max(1, len(places) - self.liars - 2)
        return among(nearest_first(evidence, places, self.liars)[:keep], shares)
