"""The geometric median: the point with the least sum of distances."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, sqrt
from typing import ClassVar

from federation.breakdown import MAJORITY, Breakdown, Guard
from federation.rules.base import Evidence, Weights, counted, in_proportion, rules

FLOOR = 1e-6  # ν: no distance counts as less, so that a step is never divided by nothing
STEPS = 100


@rules.register("geometric_median")
@dataclass(frozen=True, slots=True)
class GeometricMedian(Guard):
    """Smoothed Weiszfeld: wᵢ ∝ pᵢ / max(ν, ‖Δᵢ − z‖), z = Σ wᵢ Δᵢ, repeated from wᵢ = pᵢ.

    RFA: Pillutla et al. 2019, arXiv:1912.13445. The distances follow from inner products, so no
    change is looked at. The paper stops after a few steps or when it no longer moves; here it is
    always 100 steps, which costs nothing for inner products and gives the same bytes everywhere.
    """

    breakdown: ClassVar[Breakdown] = MAJORITY
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = False

    floor: float = FLOOR
    steps: int = STEPS

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        places = counted(shares)
        products = [[evidence.products[i][j] for j in places] for i in places]
        given = [shares[place] for place in places]
        weights = in_proportion(given)
        for _ in range(self.steps):
            far = _distances(products, weights)
            weights = in_proportion(
                [p / max(self.floor, d) for p, d in zip(given, far, strict=True)]
            )
        found = dict(zip(places, weights, strict=True))
        return Weights(
            tuple(found.get(place, 0.0) for place in range(len(shares))), (1.0,) * len(shares)
        )


def _distances(products: Sequence[Sequence[float]], weights: Sequence[float]) -> list[float]:
    """How far each change is from Σ wᵢ Δᵢ: ‖Δᵢ‖² − 2⟨Δᵢ, z⟩ + ‖z‖², under the root."""
    towards = [fsum(w * p for w, p in zip(weights, row, strict=True)) for row in products]
    square = fsum(w * t for w, t in zip(weights, towards, strict=True))
    return [sqrt(max(products[i][i] - 2 * t + square, 0.0)) for i, t in enumerate(towards)]
