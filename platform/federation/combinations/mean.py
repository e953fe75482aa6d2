"""The weighted mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.combinations.base import combinations


@combinations.register("mean")
@dataclass(frozen=True, slots=True)
class Mean:
    """Σ pᵢ Δᵢ: FedAvg (McMahan et al. 2017, arXiv:1602.05629)."""

    is_linear: ClassVar[bool] = True

    def combine(self, changes: Tensor, shares: Tensor) -> Tensor:
        return shares @ changes

    def fewest(self) -> int:
        return 1

    def survives(self, updates: int) -> int:
        del updates
        return 0
