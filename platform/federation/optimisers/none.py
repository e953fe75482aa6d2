"""No optimiser: the model moves by the combined change itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, optimisers


@optimisers.register("none")
@dataclass(frozen=True, slots=True)
class NoOptimiser:
    """W' = W + D, which is FedAvg (McMahan et al. 2017, arXiv:1602.05629)."""

    slots: ClassVar[tuple[str, ...]] = ()

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        return change, state
