"""Momentum at the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, check_decay, check_positive, optimisers, stepped


@optimisers.register("fedavgm")
@dataclass(frozen=True, slots=True)
class FedAvgM:
    """v' = β·v + D, W' = W + η·v': FedAvgM (Hsu, Qi and Brown 2019, arXiv:1909.06335).

    Heavy-ball momentum as in the paper's equation and in Reddi et al. 2020, not the Nesterov form
    of its experiments; that one is `diloco`. β = 0 and η = 1 is FedAvg.
    """

    slots: ClassVar[tuple[str, ...]] = ("velocity",)

    lr: float = 1.0  # η, above 0
    momentum: float = 0.9  # β, in [0, 1)

    def __post_init__(self) -> None:
        check_positive(lr=self.lr)
        check_decay(momentum=self.momentum)

    @property
    def coefficients(self) -> tuple[float, float]:
        return self.lr, 0.0

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        return stepped(self, change, state)
