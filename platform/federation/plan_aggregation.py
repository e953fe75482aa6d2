"""The plan's aggregation: how the updates of a round become the next adapter."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from federation.layout import Chosen
from federation.plan_parts import Part
from federation.terms import TERMS


class Aggregation(Part):
    """How the updates of a round become the next adapter."""

    later = frozenset({"rule", "combination", "liars", "root", "normalise_steps", "residual_rank"})

    strategy: Annotated[
        Literal["stack_svd", "fedavg", "ffa", "rolora", "fedex", "fedsb"],
        Field(
            title="Strategy",
            description="stack_svd: exact for any mix of ranks, for LoRA; fedavg: averages the "
            "weights that travel, needs equal ranks. For LoRA of equal ranks, too: ffa trains one "
            "factor of each pair, exact and half the bytes; rolora one of them in odd rounds, the "
            "other in even ones, likewise; fedex averages both factors and keeps what that misses "
            "beside them, exact, with downloads that grow from round to round; fedsb a small "
            "square matrix between two fixed factors, exact and by far the fewest bytes.",
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
    rule: Annotated[
        Literal["shares", "krum", "multi_krum", "bulyan", "geometric_median", "flame", "fltrust"],
        Field(
            title="Judgement of updates",
            description="Which updates count. shares: all, by their number of examples. The others "
            "compare the updates, count each as one, and leave out or weaken what stands apart. "
            "krum: only the one with the nearest neighbours; multi_krum: the mean of the best by "
            "that measure; bulyan: the same choice again and again, needs near_median; "
            "geometric_median: the point nearest to all; flame: the majority that points the same "
            "way; fltrust: what agrees with an organisation that all trust.",
        ),
    ] = "shares"
    combination: Annotated[
        Literal["mean", "median", "trimmed_mean", "near_median"],
        Field(
            title="How values are taken together",
            description="For each value of the model by itself. mean: the mean; median: the middle "
            "one of all organisations; trimmed_mean: the mean without the extremes; near_median: "
            "the mean of those nearest the middle, for bulyan.",
        ),
    ] = "mean"
    liars: Annotated[
        int,
        Field(
            ge=1,
            le=400,
            title="Harmful updates to survive",
            description="How many organisations may send harmful updates, by mistake or on "
            "purpose, without spoiling the result. Plain shares survive none.",
        ),
    ] = 1
    root: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=60,
            title="Root of trust",
            description="For fltrust: the short name of the organisation whose update judges the "
            "others. Its own does not count. Empty: none.",
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

    residual_rank: Annotated[
        int | None,
        Field(
            ge=1,
            le=8192,
            title="Most rank of the residual",
            description="Of fedex: what does not fit is cut away, and the report says how much. "
            "Empty: as much as it takes to be exact.",
        ),
    ] = None

    def travels(self, round_number: int) -> Chosen:
        """Which tensors an update of this round holds."""
        return TERMS[self.strategy].travels(round_number)
