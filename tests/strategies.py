"""Hypothesis generators of the domain core: rounds of LoRA updates, of any shapes and ranks.

Sizes and seeds are drawn, numbers come from the seed: hypothesis shrinks what matters, and a
failing case is small enough to read.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from hypothesis import strategies as st
from torch import Tensor

from federation.pairs import Pair


@dataclass(frozen=True, slots=True)
class Round:
    """One module in one round: where it started, and (weight, pair) of each participation."""

    start: Pair
    updates: list[tuple[float, Pair]]

    @property
    def width(self) -> int:
        """A rank at which nothing needs to be cut away."""
        return self.start.rank + sum(pair.rank for _, pair in self.updates)

    def having(self, updates: list[tuple[float, Pair]]) -> Round:
        return replace(self, updates=updates)


@st.composite
def rounds(
    draw: st.DrawFn, *, min_size: int = 1, max_size: int = 5, equal_ranks: bool = False
) -> Round:
    """A round whose weights add up to one; equal ranks are the start's."""
    high, wide = draw(st.integers(3, 24)), draw(st.integers(3, 24))
    rank = draw(st.integers(1, 6))
    count = draw(st.integers(min_size, max_size))
    ranks = [rank if equal_ranks else draw(st.integers(1, rank)) for _ in range(count)]
    generator = seeded(draw(st.integers(0, 2**32 - 1)))
    weights = torch.rand(count, generator=generator, dtype=torch.float64) + 0.05
    weights /= weights.sum()
    start = random_pair(generator, high, wide, rank)
    drifted = [moved(generator, start.leading(r)) for r in ranks]
    return Round(start, list(zip(weights.tolist(), drifted, strict=True)))


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(generator: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def random_pair(generator: torch.Generator, high: int, wide: int, rank: int) -> Pair:
    return Pair(normal(generator, high, rank), normal(generator, rank, wide))


def moved(generator: torch.Generator, pair: Pair) -> Pair:
    """A pair some training away from this one."""
    return Pair(
        pair.b + 0.5 * normal(generator, *pair.b.shape),
        pair.a + 0.5 * normal(generator, *pair.a.shape),
    )


def well_conditioned(generator: torch.Generator, size: int) -> Tensor:
    """An invertible matrix that is far from singular: a rotation, stretched by 0.5 to 2."""
    rotation, _ = torch.linalg.qr(normal(generator, size, size))
    return rotation * (0.5 + 1.5 * torch.rand(size, generator=generator, dtype=torch.float64))


def regauged(generator: torch.Generator, pair: Pair) -> Pair:
    """Other factors of the same change: (B·G, G⁻¹·A)."""
    gauge = well_conditioned(generator, pair.rank)
    return Pair(pair.b @ gauge, torch.linalg.solve(gauge, pair.a))
