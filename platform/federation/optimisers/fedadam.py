"""Adam at the server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from federation.optimisers.base import State, check_decay, check_positive, optimisers


@optimisers.register("fedadam")
@dataclass(frozen=True, slots=True)
class FedAdam:
    """W' = W + η·m' / (√v' + τ): Reddi et al. 2020, arXiv:2003.00295, Algorithm 2.

    m' = β₁·m + (1−β₁)·D and v' = β₂·v + (1−β₂)·D², without the bias correction of Adam. v is about
    the square of the change, not of m' as in some implementations. v begins at 0, where the paper
    wants at least τ².
    """

    slots: ClassVar[tuple[str, ...]] = ("mean", "squares")

    lr: float = 0.1  # η, above 0; adapters of language models want about 0.001
    beta1: float = 0.9  # β₁, in [0, 1)
    beta2: float = 0.99  # β₂, in [0, 1)
    tau: float = 1e-3  # τ, above 0

    def __post_init__(self) -> None:
        check_positive(lr=self.lr, tau=self.tau)
        check_decay(beta1=self.beta1, beta2=self.beta2)

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        mean = self.beta1 * state["mean"] + (1 - self.beta1) * change
        squares = self.beta2 * state["squares"] + (1 - self.beta2) * change.square()
        return self.lr * mean / (squares.sqrt() + self.tau), {"mean": mean, "squares": squares}
