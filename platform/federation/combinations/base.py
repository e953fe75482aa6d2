"""What every combination is, and where combinations are found."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Protocol

from torch import Tensor

from federation.registry import Registry


class Combination(Protocol):
    """Combines one piece of one tensor, so memory does not grow with the model.

    `is_linear`: it is the sum of the changes times their shares, which the engine streams.
    """

    is_linear: ClassVar[bool]

    def combine(self, changes: Tensor, shares: Tensor) -> Tensor:
        """changes: (updates, values), float64; shares: (updates,), all above 0; returns (values,).

        `changes` may be overwritten.
        """
        ...

    def fewest(self) -> int:
        """The fewest updates for which it keeps what it promises."""
        ...

    def survives(self, updates: int) -> int:
        """How many of so many updates may be lies without ruining the result."""
        ...


combinations: Registry[Callable[..., Combination]] = Registry("combination")
