"""The plan: everything a run is made of, frozen and hashed when the run starts.

One schema for the web form, the API and the agents. Field titles, descriptions and bounds are
what people read on the form and in the API reference, so they are written for both. Nothing here
imports torch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Annotated, Final, Literal

import rfc8785
from pydantic import Field, model_validator

from federation.compatibility import conflicts, conflicts_of_controls
from federation.plan_adapters import AdapterPart, FullWeights, Ia3, Lora, PromptTuning
from federation.plan_aggregation import Aggregation
from federation.plan_gates import Gates
from federation.plan_parts import Part
from federation.plan_rewards import Rewards
from federation.plan_server import CONTROLLED, Server
from federation.plan_tasks import (
    CausalLanguageModelling,
    Chat,
    ImageClassification,
    Labelled,
    MaskedLanguageModelling,
    SequenceClassification,
    TaskPart,
)
from federation.plan_valuation import ValuationSpec
from federation.terms import TERMS

__all__ = [
    "AdapterPart",
    "Aggregation",
    "CausalLanguageModelling",
    "Chat",
    "Evaluation",
    "FullWeights",
    "Gates",
    "Ia3",
    "ImageClassification",
    "Lora",
    "MaskedLanguageModelling",
    "Part",
    "Plan",
    "PromptTuning",
    "Rounds",
    "SequenceClassification",
    "Server",
    "TaskPart",
    "Training",
    "Transfer",
    "ValuationSpec",
    "canonical",
]

PLAN_VERSION: Final = 1


class Training(Part):
    """What each agent does in one round."""

    later = frozenset({"proximal_mu", "gradient_checkpointing", "base_weights", "optimiser"})

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
        Literal["fp32", "bf16", "fp16"],
        Field(
            title="Precision",
            description="bf16: matrix products with 8 bits of mantissa, two to three times faster "
            "on hardware that has them; fp16: for older NVIDIA cards, with scaled losses. A site "
            "whose device lacks it refuses the task. Adapters stay in fp32.",
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
    optimiser: Annotated[
        Literal["adamw", "sgd"],
        Field(
            title="Optimiser at the sites",
            description="adamw: gives each value a step of its own; sgd: plain steps along the "
            "gradient, which SCAFFOLD asks for, and which want a learning rate some 10 to 100 "
            "times as large.",
        ),
    ] = "adamw"
    gradient_checkpointing: Annotated[
        bool,
        Field(
            title="Gradient checkpointing",
            description="Computes activations twice rather than keeping them: about a third "
            "slower, with far less memory.",
        ),
    ] = False
    base_weights: Annotated[
        Literal["fp32", "nf4"],
        Field(
            title="Base weights",
            description="nf4: the frozen base in 4 bits, which needs an NVIDIA card and the "
            "package bitsandbytes; a site without them refuses the task.",
        ),
    ] = "fp32"


class Rounds(Part):
    """How many rounds, and what happens when not everybody is in time."""

    later = frozenset({"buffer", "commit_seconds", "quarantine", "quarantine_grace_seconds"})

    count: Annotated[int, Field(ge=1, le=10_000, title="Rounds")] = 5
    quorum: Annotated[
        int,
        Field(ge=1, le=1000, title="Quorum", description="Fewest updates a round may close with."),
    ] = 2
    deadline_seconds: Annotated[
        int,
        Field(ge=1, le=30 * 86400, title="Deadline", description="Longest wait for a round, in s."),
    ] = 1800
    commit_seconds: Annotated[
        int | None,
        Field(
            ge=1,
            le=30 * 86400,
            title="Time to commit",
            description="Every organisation says first, by a digest, which update it will send; "
            "the round takes updates once all have, or after so many s, from those who have. So "
            "nobody can copy what it has not yet seen. Empty: updates are sent at once.",
        ),
    ] = None
    late: Annotated[
        Literal["refuse", "record", "count"],
        Field(
            title="Late updates",
            description="refuse them, record them without counting, or count them in a later round "
            "of the run, with less weight the older what they were trained from.",
        ),
    ] = "record"
    buffer: Annotated[
        int | None,
        Field(
            ge=1,
            le=1000,
            title="Updates to close with",
            description="A round closes as soon as so many updates are accepted, late ones of "
            "earlier rounds among them where they count. Empty: it waits for all. An evaluation "
            "after every round would wait for all, too.",
        ),
    ] = None
    attempts: Annotated[
        int,
        Field(
            ge=1,
            le=20,
            title="Attempts per task",
            description="After so many failures the organisation is left out of the round.",
        ),
    ] = 3
    quarantine: Annotated[
        Literal["wait", "leave_out"],
        Field(
            title="Suspicious updates",
            description="wait: the round waits for a person's decision until its deadline, then "
            "closes without them; leave_out: it closes without them as soon as it has its quorum.",
        ),
    ] = "wait"
    quarantine_grace_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=7 * 86400,
            title="Time for a decision",
            description="So long at least a person has to look at an update that was set aside, "
            "in s; the deadline moves if need be.",
        ),
    ] = 300


class Evaluation(Part):
    """What is measured, on every organisation's own test data."""

    every: Annotated[
        Literal["round", "last", "never"],
        Field(title="Evaluate", description="after every round, after the last one, or never."),
    ] = "round"


class Transfer(Part):
    """How an update travels from a site to the hub, and who may look at it there."""

    later = frozenset({"attributable"})

    codec: Annotated[
        Literal["fp32", "bf16", "int8", "nf4"],
        Field(
            title="Codec",
            description="fp32: as it is; bf16, int8 and nf4 take 2, 3.8 and 7.1 times fewer bytes "
            "and lose 0.2 %, 0.8 % and 10 % of one update. What nf4 loses is sent with the next.",
        ),
    ] = "fp32"
    attributable: Annotated[
        bool,
        Field(
            title="Updates told apart by members",
            description="Every member may download the stacked adapter of a closed round, which "
            "has each organisation's update in it. Otherwise only the hub has single updates.",
        ),
    ] = False


class Plan(Part):
    """A complete, typed and versioned description of a run."""

    later = frozenset({"gates", "rewards", "server", "transfer", "valuation"})

    version: Literal[1] = PLAN_VERSION
    task: TaskPart
    adapter: AdapterPart = Lora()
    training: Training = Training()
    aggregation: Aggregation = Aggregation()
    server: Server = Server()
    rounds: Rounds = Rounds()
    evaluation: Evaluation = Evaluation()
    gates: Gates = Gates()
    valuation: ValuationSpec = ValuationSpec()
    rewards: Rewards = Rewards()
    transfer: Transfer = Transfer()
    seed: Annotated[
        int,
        Field(ge=0, lt=2**31, title="Seed", description="Equal seeds give equal weights."),
    ] = 0

    @model_validator(mode="after")
    def _parts_go_together(self) -> Plan:
        for reason in self._conflicts():
            raise ValueError(reason)
        return self

    def _conflicts(self) -> Iterator[str]:
        """Why this plan cannot work; METHODS 2.6 and what peft cannot do."""
        adapter, task, strategy = self.adapter, self.task, self.aggregation.strategy
        if TERMS[strategy].needs_lora and not isinstance(adapter, Lora):
            yield (
                f"{strategy} is about the factors of LoRA, and {adapter.type} has none: "
                "choose fedavg, which averages the change"
            )
        if self.aggregation.residual_rank is not None and not TERMS[strategy].has_residual:
            yield f"{strategy} leaves no residual: empty its rank, or choose fedex"
        if isinstance(adapter, Lora) and adapter.dora and not TERMS[strategy].takes_dora:
            yield (
                f"{strategy} has no place for the magnitudes of DoRA: choose plain LoRA, or "
                "stack_svd"
            )
        yield from conflicts(
            strategy=strategy,
            is_lora=isinstance(adapter, Lora),
            rule=self.aggregation.rule,
            combination=self.aggregation.combination,
            liars=self.aggregation.liars,
            quorum=self.rounds.quorum,
            has_root=self.aggregation.root is not None,
        )
        if isinstance(adapter, FullWeights) and self.training.base_weights == "nf4":
            yield "all weights cannot be trained where the base is held in 4 bits"
        if isinstance(adapter, PromptTuning):
            yield from _conflicts_of_prompts(task)
        yield from self.server.conflicts(self.aggregation.strategy)
        if self.server.optimiser == CONTROLLED:
            yield from conflicts_of_controls(
                strategy=strategy,
                rule=self.aggregation.rule,
                combination=self.aggregation.combination,
                at_the_sites=self.training.optimiser,
                counts_late=self.rounds.late == "count",
            )
        yield from self._conflicts_of_rounds()
        yield from self._conflicts_of_gates()
        yield from self.valuation.conflicts(
            quorum=self.rounds.quorum, is_attributable=self.transfer.attributable
        )
        yield from self.rewards.conflicts(is_valued=self.valuation.is_asked_for)

    def _conflicts_of_gates(self) -> Iterator[str]:
        if self.gates.are_set and self.evaluation.every == "never":
            yield "gates judge what is measured: evaluate, or ask for none"
        if not isinstance(self.task, Labelled):
            for title in self.gates.need_labels:
                yield f"{title}: {self.task.type} has no labels to count; use the loss"

    def _conflicts_of_rounds(self) -> Iterator[str]:
        rounds, strategy = self.rounds, self.aggregation.strategy
        if rounds.buffer is not None and rounds.buffer < rounds.quorum:
            yield (
                f"a round cannot close with {rounds.buffer} updates where its quorum is "
                f"{rounds.quorum}"
            )
        if rounds.commit_seconds is not None:
            yield from _conflicts_of_commitments(rounds)
        if rounds.late == "count" and len(TERMS[strategy].rounds) > 1:
            yield (
                f"{strategy} trains another factor in the next round, where a late update of this "
                "one cannot count: record late updates, or refuse them"
            )

    def digest(self) -> str:
        """SHA-256 of the plan's canonical JSON (RFC 8785), in lower-case hex."""
        return hashlib.sha256(canonical(self.model_dump(mode="json"))).hexdigest()


def _conflicts_of_commitments(rounds: Rounds) -> Iterator[str]:
    assert rounds.commit_seconds is not None
    if rounds.commit_seconds >= rounds.deadline_seconds:
        yield (
            f"no time is left to send updates where {rounds.commit_seconds} s to commit are not "
            f"less than the round's {rounds.deadline_seconds} s: allow more, or fewer to commit"
        )
    if rounds.late == "count":
        yield (
            "a late update that counts may have been made after others were seen: record late "
            "updates, or refuse them"
        )


def _conflicts_of_prompts(task: TaskPart) -> Iterator[str]:
    match task:
        case SequenceClassification(pooling="model"):
            yield (
                "behind a learnt prompt the model's own head does not see where a text ends: "
                "choose mean pooling"
            )
        case CausalLanguageModelling(packing=True) | Chat(packing=True):
            yield "a learnt prompt stands before every row, so texts cannot share one: do not pack"
        case MaskedLanguageModelling() | ImageClassification():
            yield f"{task.type} has no place for a learnt prompt: choose another adapter"


def canonical(document: object) -> bytes:
    """Canonical JSON bytes (RFC 8785): what is hashed and signed anywhere in Foedus."""
    return rfc8785.dumps(document)  # type: ignore[arg-type]
