"""Adagrad at the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, check_positive, optimisers


@optimisers.register("fedadagrad")
@dataclass(frozen=True, slots=True)
class FedAdagrad:
    """v' = v + D², W' = W + η·D / (√v' + τ): Reddi et al. 2020, arXiv:2003.00295, Algorithm 2.

    v begins at 0, where the paper wants at least τ²: so the first steps are as long as η allows.
    Without the paper's first moment (β₁ = 0).
    """

    slots: ClassVar[tuple[str, ...]] = ("squares",)

    lr: float = 0.1  # η, above 0: about how far one value moves in the first round
    tau: float = 1e-3  # τ, above 0: values that change by less are moved by less

    def __post_init__(self) -> None:
        check_positive(lr=self.lr, tau=self.tau)

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        squares = state["squares"] + change.square()
        return self.lr * change / (squares.sqrt() + self.tau), {"squares": squares}
