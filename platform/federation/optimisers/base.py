"""What every server optimiser is, and where they are found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from torch import Tensor

from federation.registry import Registry

State: TypeAlias = Mapping[str, Tensor]


class Optimiser(Protocol):
    """Turns the combined change of one piece of one tensor into the step that the server takes.

    `slots`: the names of what it remembers of each value, which begins at zero; without any, the
    step is the change itself.
    """

    slots: ClassVar[tuple[str, ...]]

    def step(self, change: Tensor, state: State) -> tuple[Tensor, State]:
        """change: (values,), float64, and so is each slot of `state`; returns step and next state.

        Value by value, so memory does not grow with the model. Nothing given is overwritten.
        """
        ...


@runtime_checkable
class LinearOptimiser(Optimiser, Protocol):
    """One whose step is linear in the change D and a velocity: v' = β·v + D, c_v·v' + c_d·D.

    So it also works on the changes of LoRA pairs, whose velocity is a pair of factors.
    """

    @property
    def momentum(self) -> float:
        """β, in [0, 1)."""
        ...

    @property
    def coefficients(self) -> tuple[float, float]:
        """(c_v, c_d): what the new velocity and the change count in the step."""
        ...


optimisers: Registry[Callable[..., Optimiser]] = Registry("server optimiser")


def stepped(optimiser: LinearOptimiser, change: Tensor, state: State) -> tuple[Tensor, State]:
    """The step of a linear optimiser, and its next velocity."""
    of_velocity, of_change = optimiser.coefficients
    velocity = optimiser.momentum * state["velocity"] + change
    return of_velocity * velocity + of_change * change, {"velocity": velocity}


def check_positive(**settings: float) -> None:
    """ValueError where one of them is not above 0."""
    for name, value in settings.items():
        if not value > 0:
            raise ValueError(f"{name} {value} is not above 0")


def check_decay(**settings: float) -> None:
    """ValueError where one of them is not in [0, 1)."""
    for name, value in settings.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} {value} is not in [0, 1)")
