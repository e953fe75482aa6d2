"""How fast a round learns at a site: the pace of its schedule, and what its rates add up to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from federation.modelling.config import is_head

if TYPE_CHECKING:
    from federation.plan import Training


def pace(schedule: str, steps: int, step: int) -> float:
    """The share of the learning rate at this step of a round of so many, counted from 0."""
    if schedule == "linear":
        return 1.0 - step / steps
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return 1.0


def paces(schedule: str, steps: int) -> float:
    """The sum of all paces of a round, in closed form: a site may say that it took many steps."""
    return float(steps) if schedule == "constant" else (steps + 1) / 2


@dataclass(frozen=True, slots=True)
class Rates:
    """The learning rates of a round; the head has one of its own."""

    learning_rate: float
    head_learning_rate: float
    schedule: str

    @classmethod
    def of(cls, training: Training) -> Self:
        return cls(training.learning_rate, training.head_learning_rate, training.schedule)

    def total(self, name: str, steps: int) -> float:
        """The sum of the rates at which a tensor was moved in a round of so many steps."""
        rate = self.head_learning_rate if is_head(name) else self.learning_rate
        return rate * paces(self.schedule, steps)
