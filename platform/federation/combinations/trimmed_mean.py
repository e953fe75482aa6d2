"""The mean of each value without its extremes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.breakdown import COMBINATIONS, Breakdown, Guard
from federation.combinations.base import combinations
from federation.combinations.sorting import sort_rows


@combinations.register("trimmed_mean")
@dataclass(frozen=True, slots=True)
class TrimmedMean(Guard):
    """Coordinate-wise trimmed mean: Yin et al. 2018, arXiv:1803.01498, Definition 2.

    The paper drops a share β of the updates at each end; here it is a number, `liars`. Updates
    count as one each, whatever their share; those of share 0 are not here.
    """

    breakdown: ClassVar[Breakdown] = COMBINATIONS["trimmed_mean"]
    is_linear: ClassVar[bool] = False

    def combine(self, changes: Tensor, shares: Tensor) -> Tensor:
        del shares
        drop = min(self.liars, (len(changes) - 1) // 2)
        return sort_rows(changes)[drop : len(changes) - drop].mean(0)
