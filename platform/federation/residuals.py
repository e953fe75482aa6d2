"""What fedex keeps beside the pairs: how much room it needs, and how rounds of it become one.

All modules have residuals of one rank, so that what is published is plain LoRA of one rank. How
large it may become is known before anything is read: a file's header comes first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import fsum, inf

from torch import Tensor

from federation.cohort import Cohort
from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    RESIDUAL_A,
    RESIDUAL_B,
    Shape,
    modules_of,
    residual_rank,
)
from federation.method import Method
from federation.pairs import Pair, beside
from federation.strategies import Combined, ResidualStrategy
from federation.strategies.truncated import cut

_EQUAL = 1e-12  # weights closer to one than this add up to it


def room_of(cohort: Cohort, method: Method, weights: Sequence[float]) -> int:
    """The rank of the residuals after a round whose changes count with these weights."""
    if not isinstance(method.strategy, ResidualStrategy):
        return 0
    sizes = [cohort.size_of(module) for module in modules_of(cohort.start.layout)]
    largest = max((min(size) for size in sizes), default=0)
    needed = inf if not method.combination.is_linear else _growth(cohort, method, weights)
    most = method.strategy.residual_rank or inf
    return int(min(residual_rank(cohort.start.layout) + needed, largest, most))


def _growth(cohort: Cohort, method: Method, weights: Sequence[float]) -> int:
    """K pairs of which the weights add up to one: (K − 1)·r. What stays of the start is one more.

    A stale update brings two: where it is, and where it was.
    """
    counted = [one for one, weight in enumerate(weights) if weight > 0]
    stale = sum(cohort.is_stale(one) for one in counted)
    is_mean = not stale and abs(fsum(weights) - 1) < _EQUAL
    return (len(counted) + stale - (1 if is_mean else 0)) * method.rank


def shapes_of(cohort: Cohort, room: int) -> dict[str, Shape]:
    """The residuals of the next state by name; none where there is no room."""
    found: dict[str, Shape] = {}
    for module in modules_of(cohort.start.layout) if room else ():
        high, wide = cohort.size_of(module)
        found |= {module + RESIDUAL_A: (room, wide), module + RESIDUAL_B: (high, room)}
    return found


def with_residual(combined: Combined, before: Pair | None, room: int) -> Combined:
    """The same with its residual added to that of earlier rounds, cut to exactly `room` components.

    It is compressed through its core: exact unless something had to be cut away.
    """
    assert combined.residual is not None
    both = beside(before, combined.residual) if before else combined.residual
    kept = cut(both, room)
    return replace(
        combined,
        residual=kept.pair,
        rank=combined.pair.rank + kept.rank,
        error_square=kept.discarded_square,
        discarded_square=kept.discarded_square,
    )


def named_factors(module: str, combined: Combined) -> list[tuple[str, Tensor]]:
    """What is written of a module, in the order of the names."""
    pair, residual = combined.pair, combined.residual
    found = [(module + A_SUFFIX, pair.a), (module + B_SUFFIX, pair.b)]
    if residual is not None and residual.rank:
        found += [(module + RESIDUAL_A, residual.a), (module + RESIDUAL_B, residual.b)]
    return found
