"""Stacking and a core SVD: the exact change, and its best approximation at the wanted rank."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import sqrt
from typing import ClassVar

import torch
from torch import Tensor

from federation.pairs import Pair
from federation.strategies.base import EQUAL, Combined, Member, ideal, strategies
from federation.strategies.truncated import Svd, core_svd, leading_svd


@strategies.register("stack_svd")
@dataclass(frozen=True, slots=True)
class StackSvd:
    """The mean of the changes themselves, for any mix of ranks.

    Stacking as in FLoRA (Wang et al. 2024, arXiv:2409.05976), then the singular values through two
    thin QRs and the small core between them, as in FLoRIST (Ramesh et al. 2025, arXiv:2506.09199).
    We differ from both in that the start counts: what no participation trained stays. The singular
    values are split evenly over the factors. A component without a singular value gets a zero
    column in B and its direction in A, as long as the start's rows are on average, so that
    training can still move it.
    """

    averages_factors: ClassVar[bool] = False
    keeps_basis: ClassVar[bool] = False

    energy: float = 1.0  # share of the squared singular values kept, in (0, 1]

    def __post_init__(self) -> None:
        if not 0 < self.energy <= 1:
            raise ValueError(f"energy {self.energy} is not in (0, 1]")

    def combine(self, start: Pair, members: Iterable[Member], rank: int) -> Combined:
        return self._cut(start, core_svd(ideal(start, members), rank), rank)

    def approximate(self, start: Pair, change: Tensor, rank: int) -> Combined:
        whole = start.dense() + change
        found = leading_svd(whole, rank)
        total = float(whole.square().sum())
        unseen = total - float(found[1].square().sum())
        return self._cut(start, found, rank, unseen if unseen > EQUAL * total else 0.0)

    def _cut(self, start: Pair, found: Svd, rank: int, unseen: float = 0.0) -> Combined:
        """`unseen`: the squares of the singular values that are not among those found."""
        u, singular, v = found
        squares = singular.square()
        total = float(squares.sum()) + unseen
        kept = min(rank, len(squares), self._needed(squares, total))
        root = singular[:kept].sqrt()
        spare = _spare_rows(start.a, v[kept:], rank - kept)
        b = torch.cat([u[:, :kept] * root, u.new_zeros(len(u), rank - kept)], 1)
        a = torch.cat([v[:kept] * root[:, None], spare])
        lost = float(squares[kept:].sum()) + unseen
        return Combined(Pair(b, a), kept, total, lost, lost)

    def _needed(self, squares: Tensor, total: float) -> int:
        """The fewest leading components that hold `energy`; all of them for energy 1."""
        if self.energy == 1.0:
            return len(squares)
        return int((squares.cumsum(0) < self.energy * total).sum()) + 1


def _spare_rows(start: Tensor, directions: Tensor, count: int) -> Tensor:
    """`count` rows for components that do nothing yet, best first."""
    length = float(start.norm()) / sqrt(len(start))
    nothing = start.new_zeros(count, start.shape[1])  # only where the module is smaller than that
    return torch.cat([directions * length, start, nothing])[:count]
