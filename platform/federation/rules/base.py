"""What every rule is, and the evidence it judges by."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import fsum, sqrt
from typing import ClassVar, Protocol

from federation.registry import Registry


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the updates of a round say of each other: inner products of their changes.

    `products[i][j]` = ⟨Δᵢ, Δⱼ⟩ over the whole model, the LoRA scale included, in the order of
    `digests`. It is the same for every pair of factors that makes the same change. `root`: which
    one was trained on data that all trust, if any.
    """

    digests: tuple[str, ...]
    products: tuple[tuple[float, ...], ...]
    root: int | None = None

    def __len__(self) -> int:
        return len(self.digests)

    def norm(self, one: int) -> float:
        return sqrt(max(self.products[one][one], 0.0))

    @property
    def norms(self) -> list[float]:
        return [self.norm(one) for one in range(len(self))]

    def cosine(self, one: int, other: int) -> float:
        """Between −1 and 1; 0 where one of the two did not move."""
        lengths = self.norm(one) * self.norm(other)
        return max(-1.0, min(1.0, self.products[one][other] / lengths)) if lengths > 0 else 0.0

    @property
    def cosines(self) -> list[list[float]]:
        return [[self.cosine(i, j) for j in range(len(self))] for i in range(len(self))]

    def distance_square(self, one: int, other: int) -> float:
        p = self.products
        return max(p[one][one] + p[other][other] - 2 * p[one][other], 0.0)

    def scaled(self, factors: Sequence[float]) -> Evidence:
        """The evidence of the changes multiplied by `factors`."""
        rows = (
            tuple(c * d * value for d, value in zip(factors, row, strict=True))
            for c, row in zip(factors, self.products, strict=True)
        )
        return replace(self, products=tuple(rows))

    def of(self, digests: Iterable[str]) -> Evidence:
        """The evidence of some of the updates, in the order of `digests`."""
        places = [self.digests.index(digest) for digest in digests]
        rows = tuple(tuple(self.products[i][j] for j in places) for i in places)
        root = places.index(self.root) if self.root in places else None
        return Evidence(tuple(self.digests[i] for i in places), rows, root)


@dataclass(frozen=True, slots=True)
class Weights:
    """What each update counts: its share of the mean, and what its change is multiplied by.

    They are apart because a method that takes no mean, such as the median, has use for the factor
    and not for the share; an update of share 0 is left out of both.
    """

    shares: tuple[float, ...]
    factors: tuple[float, ...]

    @property
    def products(self) -> list[float]:
        return [share * factor for share, factor in zip(self.shares, self.factors, strict=True)]

    def at(self, places: Sequence[int]) -> Weights:
        """Of some of the updates."""
        shares, factors = (
            [values[place] for place in places] for values in (self.shares, self.factors)
        )
        return Weights(tuple(shares), tuple(factors))


class Rule(Protocol):
    """Says what each update of a round counts.

    `needs_evidence`: whether `weigh` looks at more than the shares; then each update counts as
    one, whatever number of examples it claims. `needs_root`: whether one update has to be the root
    of trust.
    """

    needs_evidence: ClassVar[bool]
    needs_root: ClassVar[bool]

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        """`shares` add up to one, in the order of the evidence. Deterministic."""
        ...

    def fewest(self) -> int:
        """The fewest updates for which the rule keeps what it promises."""
        ...

    def survives(self, updates: int) -> int:
        """How many of so many updates may be lies without ruining the result (its breakdown)."""
        ...


rules: Registry[Callable[..., Rule]] = Registry("rule")


def counted(shares: Sequence[float]) -> list[int]:
    """The places of the updates that count: those with a share."""
    return [place for place, share in enumerate(shares) if share > 0]


def among(places: Iterable[int], shares: Sequence[float]) -> Weights:
    """Those at `places` count by their shares, all others not at all."""
    kept = set(places)
    left = [share if place in kept else 0.0 for place, share in enumerate(shares)]
    return Weights(in_proportion(left), (1.0,) * len(shares))


def in_proportion(amounts: Sequence[float]) -> tuple[float, ...]:
    """Shares that add up to one; all 0 where there is nothing to share."""
    total = fsum(amounts)
    return tuple(amount / total if total > 0 else 0.0 for amount in amounts)
