"""What every strategy is, and where strategies are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from federation.pairs import Pair, Stack, beside, change, remainder, squares
from federation.registry import Registry

# Squares closer than this, relative to the result's, are equal to float64.
EQUAL = 1e-14


class AggregationRefused(ValueError):
    """The updates of a round cannot become an adapter. `code` is stable, `detail` for people.

    Codes: no_updates, too_few_updates, no_root, weights, scale, rank_zero, rank_too_large,
    unequal_ranks, missing_module, unsupported_adapter, non_finite, and those of
    `layout.LayoutRefused`.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Combined:
    """A module's next pair and how far it is from the exact result.

    `rank` counts the components that do something. Squared Frobenius norms of b @ a, without the
    LoRA scale: `ideal_square` of the exact result, `error_square` of its difference to `pair`,
    `discarded_square` of the singular values that were cut away on purpose. `residual`: what the
    pair has no room for and is not to be lost, at whatever rank it has.
    """

    pair: Pair
    rank: int
    ideal_square: float
    error_square: float
    discarded_square: float
    residual: Pair | None = None

    @property
    def whole(self) -> Pair:
        """What the module becomes: the pair, and the residual beside it."""
        return beside(self.pair, self.residual) if self.residual else self.pair


@dataclass(frozen=True, slots=True)
class Member:
    """One update's pair of a module, and what its change is multiplied by.

    `start`: what it was trained from, where that is not the leading part of the round's start.
    """

    weight: float
    pair: Pair
    start: Pair | None = None

    def change(self, start: Pair) -> Pair:
        """How it moved the module, without its weight; `start` is the round's."""
        return change(self.start or start.leading(self.pair.rank), self.pair)


class Strategy(Protocol):
    """The algebra of LoRA pairs.

    `averages_factors`: A and B are tensors like any other, each combined by itself; else `combine`
    is asked for each module. `keeps_basis`: the components of the result are those of the start,
    moved; otherwise they are new ones in every round.
    """

    averages_factors: ClassVar[bool]
    keeps_basis: ClassVar[bool]


@runtime_checkable
class ChangeStrategy(Strategy, Protocol):
    """Works on what pairs do to the model, one module at a time."""

    def combine(self, start: Pair, members: Iterable[Member], rank: int) -> Combined:
        """The next pair of one module, at exactly `rank` components.

        Members are read once and in order; their weights are at least 0. Raises
        AggregationRefused.
        """
        ...

    def approximate(self, start: Pair, change: Tensor, rank: int) -> Combined:
        """The next pair of a module that moves by `change`, a matrix of the module's size."""
        ...


@runtime_checkable
class ResidualStrategy(ChangeStrategy, Protocol):
    """Keeps what the pair has no room for in a second pair, which grows from round to round.

    `residual_rank`: the most components that it may have; none: as many as it takes.
    """

    residual_rank: int | None


strategies: Registry[Callable[..., Strategy]] = Registry("strategy")


def keeps_basis(name: str) -> bool:
    """Whether factors of two rounds are about the same directions under this strategy."""
    return strategies[name]().keeps_basis


def ideal(start: Pair, members: Iterable[Member]) -> Pair:
    """The exact result as one wide pair: start + Σ wᵢ (updateᵢ − what it was trained from)."""
    stack = Stack(start.size)
    parts = []
    for member in members:
        stack.add(member.pair, member.weight)
        if member.start is None:
            parts.append((member.pair.rank, member.weight))
        else:
            stack.add(member.start, -member.weight)
    left = remainder(start.rank, parts)
    if bool(left.any()) or stack.rank < start.rank:
        stack.add(start, left)
    return stack.pair()


def error_of(published: Pair, exact: Pair) -> tuple[float, float]:
    """Squared norms, without the LoRA scale: of `exact`, and of what `published` is off by."""
    both = beside(exact, published)
    kept = torch.ones(both.rank, dtype=torch.float64)
    kept[exact.rank :] = 0.0
    total, error = squares(both, kept, 2 * kept - 1)
    return total, error if error > EQUAL * total else 0.0
