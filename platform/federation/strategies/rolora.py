"""The factors in turn: in each round one is frozen and the other averaged, which is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.strategies.base import strategies


@strategies.register("rolora")
@dataclass(frozen=True, slots=True)
class RoLora:
    """Odd rounds train and average B over a common A, even rounds A under a common B.

    RoLoRA (Chen et al. 2025, arXiv:2502.01755). Each round is exact, as with `ffa`, and over two
    rounds both factors learn. It begins with B, as B is zero in a fresh adapter and A would have no
    gradient. Half of the bytes travel.
    """

    averages_factors: ClassVar[bool] = True
    keeps_basis: ClassVar[bool] = True
