"""The median of each value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.breakdown import COMBINATIONS, Breakdown, Guard
from federation.combinations.base import combinations
from federation.combinations.sorting import sort_rows


@combinations.register("median")
@dataclass(frozen=True, slots=True)
class Median(Guard):
    """Coordinate-wise median: Yin et al. 2018, arXiv:1803.01498, Definition 1.

    Of an even number the mean of the middle two. Updates count as one each, whatever their share;
    those of share 0 are not here.
    """

    breakdown: ClassVar[Breakdown] = COMBINATIONS["median"]
    is_linear: ClassVar[bool] = False

    def combine(self, changes: Tensor, shares: Tensor) -> Tensor:
        del shares
        return middle(sort_rows(changes))


def middle(rows: Tensor) -> Tensor:
    """The median of sorted rows."""
    high = len(rows) // 2
    return rows[high] if len(rows) % 2 else (rows[high - 1] + rows[high]) / 2
