"""DiLoCo's outer step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, check_decay, check_positive, optimisers, stepped


@optimisers.register("diloco")
@dataclass(frozen=True, slots=True)
class DiLoCo:
    """v' = β·v + D, W' = W + η·(D + β·v'): DiLoCo (Douillard et al. 2023, arXiv:2311.08105).

    SGD with Nesterov momentum on −D, in the form of torch.optim.SGD. What makes it DiLoCo is the
    plan: AdamW at the sites, many steps between rounds. η = 1 and β = 0 is FedAvg.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    lr: float = 0.7  # η, above 0
    momentum: float = 0.9  # β, in [0, 1)

    def __post_init__(self) -> None:
        check_positive(lr=self.lr)
        check_decay(momentum=self.momentum)

    @property
    def coefficients(self) -> tuple[float, float]:
        return self.lr * self.momentum, self.lr

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        return stepped(self, change, state)
