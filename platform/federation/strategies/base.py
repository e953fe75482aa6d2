"""What every strategy is, and where strategies are found."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import ClassVar, Protocol

from federation.pairs import Pair, Stack, remainder
from federation.registry import Registry


class AggregationRefused(ValueError):
    """The updates of a round cannot become an adapter. `code` is stable, `detail` for people.

    Codes: no_updates, weights, scale, rank_zero, rank_too_large, unequal_ranks, missing_module,
    unsupported_adapter, non_finite, and those of `layout.LayoutRefused`.
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
    `discarded_square` of the singular values that were cut away on purpose.
    """

    pair: Pair
    rank: int
    ideal_square: float
    error_square: float
    discarded_square: float


class Strategy(Protocol):
    """Combines one module at a time, so memory does not grow with the model.

    `keeps_basis`: the components of the result are those of the start, moved; otherwise they are
    new ones in every round.
    """

    keeps_basis: ClassVar[bool]

    def combine_pair(
        self, start: Pair, updates: Iterable[tuple[float, Pair]], rank: int
    ) -> Combined:
        """The next pair of one module, at exactly `rank` components.

        `updates` are (weight, pair), read once and in order; weights are at least 0 and their sum
        at most 1. Each pair was trained from the leading components of `start` of its own rank.
        Raises AggregationRefused.
        """
        ...


strategies: Registry[Callable[..., Strategy]] = Registry("strategy")


def configured(name: str, **settings: float) -> Strategy:
    """The strategy of this name with those of the settings that are fields of it."""
    kind = strategies[name]
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    return kind(**{key: value for key, value in settings.items() if key in known})


def keeps_basis(name: str) -> bool:
    """Whether factors of two rounds are about the same directions under this strategy."""
    return configured(name).keeps_basis


def ideal(start: Pair, updates: Iterable[tuple[float, Pair]]) -> Pair:
    """The exact result as one wide pair: start + Σ wᵢ (updateᵢ − start cut to its rank)."""
    stack = Stack(start.size)
    parts = []
    for weight, pair in updates:
        stack.add(pair, weight)
        parts.append((pair.rank, weight))
    left = remainder(start.rank, parts)
    if bool(left.any()) or stack.rank < start.rank:
        stack.add(start, left)
    return stack.pair()
