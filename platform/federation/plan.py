"""The plan: everything a run is made of, frozen and hashed when the run starts.

One schema for the web form, the API and the agents. Field titles, descriptions and bounds are
what people read on the form and in the API reference, so they are written for both. Nothing here
imports torch.
"""

from __future__ import annotations

import hashlib
from typing import Annotated, ClassVar, Final, Literal

import rfc8785
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)

PLAN_VERSION: Final = 1


class Part(BaseModel):
    """A frozen section of the plan; unknown fields and loose types are refused.

    `later`: fields that were not there at first. They are written only where they are used, so
    that what never heard of them reads a plan that does without them, and its digest stays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    later: ClassVar[frozenset[str]] = frozenset()

    @model_serializer(mode="wrap")
    def _without_unused(self, write: SerializerFunctionWrapHandler) -> dict[str, object]:
        usual = {name: type(self).model_fields[name].default for name in self.later}
        unused = {name for name, default in usual.items() if getattr(self, name) == default}
        return {name: value for name, value in write(self).items() if name not in unused}


class SequenceClassification(Part):
    """Give each text one of a fixed list of labels."""

    type: Literal["sequence_classification"] = "sequence_classification"
    labels: Annotated[
        tuple[str, ...],
        Field(
            min_length=2,
            max_length=10_000,
            strict=False,
            title="Labels",
            description="All labels any organisation may hold, in one agreed order.",
        ),
    ]
    pooling: Annotated[
        Literal["mean", "model"],
        Field(
            title="Pooling",
            description="mean: average over the tokens, best for sentence encoders; "
            "model: the model's own classification head.",
        ),
    ] = "mean"
    max_tokens: Annotated[
        int,
        Field(ge=8, le=8192, title="Tokens per text", description="Longer texts are cut."),
    ] = 64

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> SequenceClassification:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be distinct")
        return self


class CausalLanguageModelling(Part):
    """Continue text; with a prompt given, only the answer is learnt."""

    type: Literal["causal_lm"] = "causal_lm"
    max_tokens: Annotated[
        int,
        Field(ge=8, le=8192, title="Tokens per text", description="Longer texts are cut."),
    ] = 128


TaskPart = Annotated[SequenceClassification | CausalLanguageModelling, Field(discriminator="type")]


class Adapter(Part):
    """The small trainable weights laid over the base model (LoRA; Hu et al. 2021)."""

    rank: Annotated[
        int,
        Field(
            ge=1,
            le=256,
            title="Rank",
            description="Largest rank of the shared adapter; a participation may train a "
            "smaller one.",
        ),
    ] = 8
    alpha: Annotated[
        float,
        Field(
            gt=0,
            le=1024,
            strict=False,
            title="Alpha",
            description="LoRA scale is alpha / rank, and is kept for every rank.",
        ),
    ] = 16.0
    targets: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            max_length=64,
            strict=False,
            title="Target modules",
            description="Names of the linear layers that get an adapter.",
        ),
    ] = ("query", "value")

    @property
    def scale(self) -> float:
        return self.alpha / self.rank


class Training(Part):
    """What each agent does in one round."""

    later = frozenset({"proximal_mu"})

    epochs: Annotated[
        float,
        Field(gt=0, le=100, strict=False, title="Epochs per round"),
    ] = 1.0
    max_steps: Annotated[
        int | None,
        Field(ge=1, le=1_000_000, title="Most steps per round", description="Empty: no limit."),
    ] = None
    batch_size: Annotated[int, Field(ge=1, le=4096, title="Batch size")] = 16
    accumulation: Annotated[int, Field(ge=1, le=1024, title="Gradient accumulation")] = 1
    learning_rate: Annotated[float, Field(gt=0, le=1, strict=False, title="Learning rate")] = 2e-3
    head_learning_rate: Annotated[
        float,
        Field(gt=0, le=1, strict=False, title="Learning rate of the head"),
    ] = 2e-2
    schedule: Annotated[
        Literal["constant", "linear", "cosine"],
        Field(title="Schedule", description="How the learning rate moves within a round."),
    ] = "constant"
    weight_decay: Annotated[float, Field(ge=0, le=1, strict=False, title="Weight decay")] = 0.01
    clip_norm: Annotated[float, Field(gt=0, strict=False, title="Gradient clip")] = 1.0
    precision: Annotated[
        Literal["fp32", "bf16"],
        Field(
            title="Precision",
            description="bf16: matrix products with 8 bits of mantissa, two to three times faster "
            "on hardware that has them. Adapters stay in fp32.",
        ),
    ] = "fp32"
    proximal_mu: Annotated[
        float,
        Field(
            ge=0,
            le=100,
            strict=False,
            title="Pull towards the start",
            description="FedProx: keeps what one site learns near what all share. 0: no pull; "
            "0.001 to 1 are usual where data differ much.",
        ),
    ] = 0.0


class Aggregation(Part):
    """How the updates of a round become the next adapter."""

    strategy: Annotated[
        Literal["stack_svd", "fedavg"],
        Field(
            title="Strategy",
            description="stack_svd: exact for any mix of ranks; fedavg: averages the factors, "
            "needs equal ranks.",
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


class Rounds(Part):
    """How many rounds, and what happens when not everybody is in time."""

    count: Annotated[int, Field(ge=1, le=10_000, title="Rounds")] = 5
    quorum: Annotated[
        int,
        Field(ge=1, le=1000, title="Quorum", description="Fewest updates a round may close with."),
    ] = 2
    deadline_seconds: Annotated[
        int,
        Field(ge=1, le=30 * 86400, title="Deadline", description="Longest wait for a round, in s."),
    ] = 1800
    late: Annotated[
        Literal["refuse", "record"],
        Field(title="Late updates", description="refuse them, or record them without counting."),
    ] = "record"
    attempts: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            title="Attempts per task",
            description="After so many failures the organisation is left out of the round.",
        ),
    ] = 3


class Evaluation(Part):
    """What is measured, on every organisation's own test data."""

    every: Annotated[
        Literal["round", "last", "never"],
        Field(title="Evaluate", description="after every round, after the last one, or never."),
    ] = "round"


class Transfer(Part):
    """How an update travels from a site to the hub."""

    codec: Annotated[
        Literal["fp32", "bf16", "int8", "nf4"],
        Field(
            title="Codec",
            description="fp32: as it is; bf16, int8 and nf4 take 2, 3.8 and 7.1 times fewer bytes "
            "and lose 0.2 %, 0.8 % and 10 % of one update. What nf4 loses is sent with the next.",
        ),
    ] = "fp32"


class Plan(Part):
    """A complete, typed and versioned description of a run."""

    later = frozenset({"transfer"})

    version: Literal[1] = PLAN_VERSION
    task: TaskPart
    adapter: Adapter = Adapter()
    training: Training = Training()
    aggregation: Aggregation = Aggregation()
    rounds: Rounds = Rounds()
    evaluation: Evaluation = Evaluation()
    transfer: Transfer = Transfer()
    seed: Annotated[
        int,
        Field(ge=0, lt=2**31, title="Seed", description="Equal seeds give equal weights."),
    ] = 0

    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON (RFC 8785), in lower-case hex."""
        return hashlib.sha256(canonical(self.model_dump(mode="json"))).hexdigest()


def canonical(document: object) -> bytes:
    """Canonical JSON bytes (RFC 8785): what is hashed and signed anywhere in Foedus."""
    return rfc8785.dumps(document)  # type: ignore[arg-type]
