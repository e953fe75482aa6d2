"""The plan's server: the step that it takes along what the updates of a round combine to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import Field

from federation.plan_parts import Part

# Which settings an optimiser has; a test holds them against the optimisers themselves.
SETTINGS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "none": frozenset(),
        "fedavgm": frozenset({"learning_rate", "momentum"}),
        "diloco": frozenset({"learning_rate", "momentum"}),
        "fedadagrad": frozenset({"learning_rate", "tau"}),
        "fedadam": frozenset({"learning_rate", "beta1", "beta2", "tau"}),
        "fedyogi": frozenset({"learning_rate", "beta1", "beta2", "tau"}),
        "scaffold": frozenset({"learning_rate"}),
    }
)
CONTROLLED: Final = "scaffold"  # the one whose memory corrects the gradients at the sites
LINEAR = frozenset({"fedavgm", "diloco"})  # what they remember is a change of the model itself
AVERAGING = frozenset(
    {"fedavg", "ffa", "rolora", "fedsb"}
)  # strategies that combine value by value
CHANGING = frozenset({"stack_svd"})  # strategies that take any change of the model


class Server(Part):
    """The server may treat what the sites learnt together as the gradient of an optimiser."""

    optimiser: Annotated[
        Literal["none", "fedavgm", "diloco", "fedadagrad", "fedadam", "fedyogi", "scaffold"],
        Field(
            title="Server optimiser",
            description="none: the model moves by the combined change; fedavgm and diloco go on "
            "moving where earlier rounds went; fedadagrad, fedadam and fedyogi give each value a "
            "step of its own, for strategies that average the weights; scaffold, for the same "
            "strategies, tells each site how its gradients differ from those of all, so that sites "
            "with unlike data do not drift apart.",
        ),
    ] = "none"
    learning_rate: Annotated[
        float | None,
        Field(
            gt=0,
            le=10,
            strict=False,
            title="Server's learning rate",
            description="Empty: 1 for fedavgm and scaffold, 0.7 for diloco, 0.1 for fedadagrad and "
            "fedadam, 0.01 for fedyogi. Adapters of language models want about 0.001 from fedadam.",
        ),
    ] = None
    momentum: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            strict=False,
            title="Server's momentum",
            description="Of fedavgm and diloco: how much of the last step goes on. Empty: 0.9.",
        ),
    ] = None
    beta1: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            strict=False,
            title="β₁",
            description="Of fedadam and fedyogi: how slowly the mean change moves. Empty: 0.9.",
        ),
    ] = None
    beta2: Annotated[
        float | None,
        Field(
            ge=0,
            lt=1,
            strict=False,
            title="β₂",
            description="Of fedadam and fedyogi: how slowly the mean square moves. Empty: 0.99.",
        ),
    ] = None
    tau: Annotated[
        float | None,
        Field(
            gt=0,
            strict=False,
            title="τ",
            description="Of fedadagrad, fedadam and fedyogi: values that change by less than this "
            "get a shorter step. Empty: 0.001.",
        ),
    ] = None

    def given(self) -> dict[str, float]:
        """The settings that are not left at the optimiser's usual."""
        named = {name: getattr(self, name) for name in type(self).model_fields}
        return {k: v for k, v in named.items() if k != "optimiser" and v is not None}

    def conflicts(self, strategy: str) -> Iterator[str]:
        """Why this server cannot work with a strategy."""
        for name in sorted(self.given().keys() - SETTINGS[self.optimiser]):
            title = type(self).model_fields[name].title
            yield f"a server with the optimiser {self.optimiser} has no setting “{title}”: empty it"
        if self.optimiser in {"none", CONTROLLED} or strategy in AVERAGING:
            return  # what scaffold goes with is in the matrix of federation/compatibility.py
        if strategy not in CHANGING:
            yield f"{strategy} says itself where the model goes: a server optimiser has no place"
        elif self.optimiser not in LINEAR:
            yield (
                f"{self.optimiser} remembers every value of the factors, and those of {strategy} "
                "are about other directions in every round: choose fedavgm or diloco, which "
                "remember the change of the model, or a strategy that averages the factors"
            )
