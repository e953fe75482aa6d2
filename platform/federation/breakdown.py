"""How many lies a method survives, as data: nothing here imports torch, and the web may read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from typing import ClassVar, Final


@dataclass(frozen=True, slots=True)
class Breakdown:
    """A method needs `each` updates for each liar and `more` besides; `each` 0: no promise.

    `is_bound`: it guards against as many liars as it is set to and no more, however many updates
    there are; otherwise the number of updates alone decides.
    """

    each: float
    more: int = 1
    is_bound: bool = False

    def fewest(self, liars: int) -> int:
        """The fewest updates among which so many may lie."""
        return ceil(self.each * liars) + self.more

    def survives(self, updates: int, liars: int) -> int:
        """How many of so many updates may lie when it is set to `liars`."""
        if self.each == 0:
            return 0
        most = max(0, int((updates - self.more) / self.each))
        return min(most, liars) if self.is_bound else most


NONE: Final = Breakdown(0)
MAJORITY: Final = Breakdown(2)
KRUM: Final = Breakdown(2, 3, is_bound=True)
BULYAN: Final = Breakdown(4, 3, is_bound=True)
TRUSTED: Final = Breakdown(2.5)  # two fifths of those that the root of trust judges

# Combinations import torch, so what they promise stands here; rules say it themselves.
COMBINATIONS: Final[Mapping[str, Breakdown]] = {
    "mean": NONE,
    "median": MAJORITY,
    "trimmed_mean": Breakdown(2, is_bound=True),
    "near_median": Breakdown(2, is_bound=True),
}


@dataclass(frozen=True, slots=True)
class Guard:
    """What guards against lies, set to a number of them."""

    breakdown: ClassVar[Breakdown]

    liars: int = 1  # updates that may be lies; 0 and more

    def __post_init__(self) -> None:
        if self.liars < 0:
            raise ValueError(f"liars {self.liars} is below 0")

    def fewest(self) -> int:
        """The fewest updates for which it keeps what it promises."""
        return self.breakdown.fewest(self.liars)

    def survives(self, updates: int) -> int:
        """How many of so many updates may be lies."""
        return self.breakdown.survives(updates, self.liars)
