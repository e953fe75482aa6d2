"""The plan's aggregation: how the updates of a round become the next adapter."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from federation.layout import Chosen
from federation.plan_parts import Part
from federation.terms import TERMS


class Aggregation(Part):
    """How the updates of a round become the next adapter."""

    later = frozenset({"normalise_steps"})

    strategy: Annotated[
        Literal["stack_svd", "fedavg", "ffa", "rolora"],
        Field(
            title="Strategy",
            description="stack_svd: exact for any mix of ranks, for LoRA; fedavg: averages the "
            "weights that travel, needs equal ranks. For LoRA of equal ranks, too: ffa trains one "
            "factor of each pair, exact and half the bytes; rolora one of them in odd rounds, the "
            "other in even ones, likewise.",
        ),
    ] = "stack_svd"
    energy: Annotated[
        float,
        Field(
            gt=0,
            le=1,
            strict=False,
            title="Energy kept",
            description="Share of the squared singular values kept before the cut to the rank.",
        ),
    ] = 1.0
    clip: Annotated[
        float | None,
        Field(
            gt=0,
            strict=False,
            title="Norm bound",
            description="Updates with a larger norm are scaled down to it. Empty: four times "
            "the median of the round.",
        ),
    ] = None
    normalise_steps: Annotated[
        bool,
        Field(
            title="Normalise by steps",
            description="FedNova: counts every change as if all sites had taken as many steps, so "
            "that those that take more do not pull the model their way.",
        ),
    ] = False

    def travels(self, round_number: int) -> Chosen:
        """Which tensors an update of this round holds."""
        return TERMS[self.strategy].travels(round_number)
