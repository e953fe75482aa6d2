"""Averaging the factors: the baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch

from federation.pairs import Pair, beside, squares
from federation.strategies.base import AggregationRefused, Combined, ideal, strategies

# Squares closer than this, relative to the result's, are equal to float64.
_EQUAL = 1e-14


@strategies.register("fedavg")
@dataclass(frozen=True, slots=True)
class FedAvg:
    """Weighted means of A and of B: FedAvg (McMahan et al. 2017, arXiv:1602.05629) on LoRA factors.

    Known as FedIT (Zhang et al. 2023, arXiv:2305.05644). The product of means is not the mean of
    products, and one participation that rescales its factors moves the result although its model
    is the same; `Combined.error_square` says how far off it is. Needs equal ranks.
    """

    keeps_basis: ClassVar[bool] = True

    def combine_pair(
        self, start: Pair, updates: Iterable[tuple[float, Pair]], rank: int
    ) -> Combined:
        if rank != start.rank:
            raise AggregationRefused("unequal_ranks", f"rank {start.rank} cannot become {rank}")
        mean = Pair(start.b.clone(), start.a.clone())
        exact = ideal(start, _averaged(start, updates, mean))
        return _judged(mean, exact)


def _averaged(
    start: Pair, updates: Iterable[tuple[float, Pair]], mean: Pair
) -> Iterator[tuple[float, Pair]]:
    """Pass the updates on, each added to `mean` on its way."""
    trained = None
    for weight, pair in updates:
        trained = trained or pair.rank
        if pair.rank != trained:
            raise AggregationRefused("unequal_ranks", f"fedavg got ranks {trained}, {pair.rank}")
        mean.b[:, :trained] += weight * (pair.b - start.b[:, :trained])
        mean.a[:trained] += weight * (pair.a - start.a[:trained])
        yield weight, pair


def _judged(mean: Pair, exact: Pair) -> Combined:
    both = beside(exact, mean)
    kept = torch.ones(both.rank, dtype=torch.float64)
    kept[exact.rank :] = 0.0
    total, error = squares(both, kept, 2 * kept - 1)
    return Combined(mean, mean.rank, total, error if error > _EQUAL * total else 0.0, 0.0)
