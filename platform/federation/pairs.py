"""Algebra of LoRA factor pairs in the space of what they do to the model.

A pair (B, A) changes its module by s · B · A. Many pairs express the same change: (B·G, G⁻¹·A) for
any invertible G. So nothing here looks at a factor alone; inner products come from r × r matrices
(⟨BA, DC⟩ = tr((BᵀD)(CAᵀ))), and no matrix of the module's size is built unless the pairs
together are larger than that. Everything is float64.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

# Shares of one add up to it but for rounding; what is left of a component below this is nothing.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Pair:
    """The factors of one module: b (out, rank), a (rank, in)."""

    b: Tensor
    a: Tensor

    @property
    def rank(self) -> int:
        return self.a.shape[0]

    @property
    def size(self) -> tuple[int, int]:
        """(out, in): the shape of the module's weight."""
        return self.b.shape[0], self.a.shape[1]

    def leading(self, rank: int) -> Pair:
        """The first `rank` components: what `tensors.cut_rank` hands to a participation."""
        return Pair(self.b[:, :rank], self.a[:rank])

    def dense(self) -> Tensor:
        """The product b @ a, of the module's size."""
        return self.b @ self.a


def inner(left: Pair, right: Pair) -> float:
    """The Frobenius inner product of left.dense() and right.dense()."""
    return float(((left.b.T @ right.b) * (left.a @ right.a.T)).sum())


def norm(pair: Pair) -> float:
    """The Frobenius norm of pair.dense()."""
    return sqrt(max(inner(pair, pair), 0.0))


def squares(pair: Pair, *coefficients: Tensor) -> list[float]:
    """The squared norms of Σ cⱼ·bⱼaⱼ over the components, for several vectors of coefficients."""
    products = (pair.b.T @ pair.b) * (pair.a @ pair.a.T)
    return [max(float(c @ products @ c), 0.0) for c in coefficients]


def beside(*pairs: Pair) -> Pair:
    """The pair whose dense matrix is the sum of theirs: columns and rows set side by side."""
    return Pair(torch.cat([p.b for p in pairs], 1), torch.cat([p.a for p in pairs], 0))


def change(start: Pair, update: Pair) -> Pair:
    """The pair of update − start, both of one rank.

    Written (B − B₀)·A + B₀·(A − A₀), it stays accurate for an update that moved little, and is
    exactly zero for one that did not move.
    """
    return beside(Pair(update.b - start.b, update.a), Pair(start.b, update.a - start.a))


class Stack:
    """The running sum Σ cᵢ·BᵢAᵢ as one wide pair; FLoRA (Wang et al. 2024, arXiv:2409.05976).

    Exact. A stack twice as wide as the matrix is high is folded into the matrix itself, so its
    memory is bounded by the module, not by the number of pairs.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._parts: list[Pair] = []

    @property
    def rank(self) -> int:
        return sum(part.rank for part in self._parts)

    def add(self, pair: Pair, coefficients: Tensor | float = 1.0) -> None:
        """Add a pair, scaled as a whole or by one coefficient for each component."""
        self._parts.append(Pair(pair.b * coefficients, pair.a))
        if self.rank > 2 * min(self._size):
            self._parts = [_folded(self.pair())]

    def pair(self) -> Pair:
        return beside(*self._parts)


def _folded(pair: Pair) -> Pair:
    high, wide = pair.size
    if high <= wide:
        return Pair(torch.eye(high, dtype=torch.float64), pair.dense())
    return Pair(pair.dense(), torch.eye(wide, dtype=torch.float64))


def remainder(rank: int, parts: list[tuple[int, float]]) -> Tensor:
    """What is left of each of `rank` components after parts (rank, share) took their leading ones.

    Exactly zero where the shares add up to one.
    """
    left = torch.ones(rank, dtype=torch.float64)
    for taken, share in parts:
        left[:taken] -= share
    left[left.abs() < _ROUNDING] = 0.0
    return left
