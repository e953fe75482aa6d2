"""Every update counts by its share: no judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from federation.rules.base import Evidence, Weights, rules


@rules.register("shares")
@dataclass(frozen=True, slots=True)
class Shares:
    """The share of the examples; one lie within the norm bound moves the result by its share."""

    needs_evidence: ClassVar[bool] = False
    needs_root: ClassVar[bool] = False

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        del evidence
        return Weights(tuple(shares), (1.0,) * len(shares))

    def fewest(self) -> int:
        return 1

    def survives(self, updates: int) -> int:
        del updates
        return 0
