"""Bulyan's second stage: the mean of what lies nearest the median."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from federation.breakdown import COMBINATIONS, Breakdown, Guard
from federation.combinations.base import combinations
from federation.combinations.median import middle
from federation.combinations.sorting import sort_rows


@combinations.register("near_median")
@dataclass(frozen=True, slots=True)
class NearMedian(Guard):
    """The mean of the θ − 2f values that are nearest the median of θ.

    El Mhamdi et al. 2018, arXiv:1802.07927, after the selection that is the rule `bulyan`. Of two
    values as near as each other the lower is taken. Updates count as one each, whatever their
    share; those of share 0 are not here.
    """

    breakdown: ClassVar[Breakdown] = COMBINATIONS["near_median"]
    is_linear: ClassVar[bool] = False

    def combine(self, changes: Tensor, shares: Tensor) -> Tensor:
        del shares
        fewest = 2 - len(changes) % 2  # those in the middle
        keep = max(fewest, len(changes) - 2 * self.liars)
        return nearest(sort_rows(changes), keep).mean(0)


def nearest(rows: Tensor, keep: int) -> Tensor:
    """The `keep` values of each column of sorted rows that are nearest its median.

    They stand together, so a window moves up as long as it gains by that.
    """
    median, kept = middle(rows), rows[:keep].clone()
    for first in range(len(rows) - keep):
        gains = rows[first + keep] - median < median - rows[first]
        torch.where(gains, rows[first + 1 : first + 1 + keep], kept, out=kept)
    return kept
