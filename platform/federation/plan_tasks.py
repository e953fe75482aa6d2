"""The plan's task: what is learnt.

A new type is a part here, and one file in `federation.modelling.kinds`, which says how.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from federation.plan_parts import Part

Column: TypeAlias = Literal["text", "label", "prompt", "messages", "image"]
MaxTokens: TypeAlias = Annotated[
    int,
    Field(ge=8, le=8192, title="Tokens per text", description="Longer texts are cut."),
]
Packing: TypeAlias = Annotated[
    bool,
    Field(
        title="Packing",
        description="Lays several short texts into one row, each blind to the others: less "
        "padding, so faster. The batch size then counts rows.",
    ),
]
Labels: TypeAlias = Annotated[
    tuple[str, ...],
    Field(
        min_length=2,
        max_length=10_000,
        strict=False,
        title="Labels",
        description="All labels any organisation may hold, in one agreed order.",
    ),
]


class Task(Part):
    """What every task says of itself.

    `columns`: what it reads of a site's data, the main one first. `processor` and `model_class`:
    the classes of transformers that prepare its inputs and load its base. `peft_task`: what peft
    calls it; None where it has no word for it.
    """

    columns: ClassVar[tuple[Column, ...]]
    processor: ClassVar[str] = "AutoTokenizer"

    @property
    def model_class(self) -> str:
        raise NotImplementedError

    @property
    def peft_task(self) -> str | None:
        return None


class Labelled(Task):
    """A task whose answers are labels from a fixed list."""

    labels: Labels

    @model_validator(mode="after")
    def _labels_are_distinct(self) -> Self:
        if len(set(self.labels)) != len(self.labels):
            raise ValueError("labels must be distinct")
        return self


class SequenceClassification(Labelled):
    """Give each text one of a fixed list of labels."""

    columns = ("text", "label")

    type: Literal["sequence_classification"] = "sequence_classification"
    pooling: Annotated[
        Literal["mean", "model"],
        Field(
            title="Pooling",
            description="mean: average over the tokens, best for sentence encoders; "
            "model: the model's own classification head.",
        ),
    ] = "mean"
    max_tokens: MaxTokens = 64

    @property
    def model_class(self) -> str:
        kind = "Token" if self.pooling == "mean" else "Sequence"
        return f"AutoModelFor{kind}Classification"

    @property
    def peft_task(self) -> str:
        """Mean pooling rides on token classification: a linear head commutes with the mean."""
        return "TOKEN_CLS" if self.pooling == "mean" else "SEQ_CLS"


class Continuing(Task):
    """A task of continuing what is given."""

    max_tokens: MaxTokens
    packing: Packing = False

    @property
    def model_class(self) -> str:
        return "AutoModelForCausalLM"

    @property
    def peft_task(self) -> str:
        return "CAUSAL_LM"


class CausalLanguageModelling(Continuing):
    """Continue text; with a prompt given, only the answer is learnt."""

    later = frozenset({"packing"})
    columns = ("text", "prompt")

    type: Literal["causal_lm"] = "causal_lm"
    max_tokens: MaxTokens = 128


class Chat(Continuing):
    """Answer in conversations, written with the base model's chat template.

    Only what the assistant says is learnt.
    """

    columns = ("messages",)

    type: Literal["chat"] = "chat"
    max_tokens: MaxTokens = 512


class MaskedLanguageModelling(Task):
    """Fill in hidden words, to make an encoder at home in a field's language."""

    columns = ("text",)

    type: Literal["masked_lm"] = "masked_lm"
    max_tokens: MaxTokens = 128
    hidden: Annotated[
        float,
        Field(
            gt=0,
            lt=1,
            strict=False,
            title="Hidden share",
            description="Share of the tokens of each text that are to be filled in.",
        ),
    ] = 0.15

    @property
    def model_class(self) -> str:
        return "AutoModelForMaskedLM"


class ImageClassification(Labelled):
    """Give each image one of a fixed list of labels."""

    columns = ("image", "label")
    processor = "AutoImageProcessor"

    type: Literal["image_classification"] = "image_classification"

    @property
    def model_class(self) -> str:
        return "AutoModelForImageClassification"


TaskPart = Annotated[
    SequenceClassification
    | CausalLanguageModelling
    | Chat
    | MaskedLanguageModelling
    | ImageClassification,
    Field(discriminator="type"),
]
