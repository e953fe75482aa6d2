"""The plan's adapter: which weights are trained, and travel, beside or in the base model.

Each type is one that `peft` loads. To the rest of Foedus an adapter has a rank and a scale, which
are 1 where there are no factor pairs: then every organisation trains all of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from federation.plan_parts import Part

Targets: TypeAlias = Annotated[
    tuple[str, ...],
    Field(
        min_length=1,
        max_length=64,
        strict=False,
        title="Target modules",
        description="Names of the linear layers that get an adapter.",
    ),
]
USUAL_TARGETS = ("query", "value")


class Lora(Part):
    """Two thin matrices beside each layer, whose product is added to it (LoRA; Hu et al. 2021)."""

    later = frozenset({"type", "rslora", "dora"})

    type: Literal["lora"] = "lora"
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
    targets: Targets = USUAL_TARGETS
    rslora: Annotated[
        bool,
        Field(
            title="Rank-stabilised scale",
            description="rsLoRA: the scale is alpha / √rank, so that large ranks learn as fast "
            "as small ones.",
        ),
    ] = False
    dora: Annotated[
        bool,
        Field(
            title="Magnitudes apart",
            description="DoRA: learns the length of each output apart from its direction. "
            "Lengths are averaged; slower, and often better at small ranks.",
        ),
    ] = False

    @property
    def scale(self) -> float:
        return self.alpha / (sqrt(self.rank) if self.rslora else self.rank)

    @property
    def in_words(self) -> str:
        name = {(True, False): "rsLoRA", (False, True): "DoRA", (True, True): "rsLoRA with DoRA"}
        kind = name.get((self.rslora, self.dora), "LoRA")
        return f"{kind} of rank {self.rank} on {', '.join(self.targets)}"


class Whole(Part):
    """An adapter without factor pairs: one size for all, aggregated as it is."""

    rank: ClassVar[int] = 1
    scale: ClassVar[float] = 1.0


class Ia3(Whole):
    """One factor for each feature that a layer passes on; very few weights (Liu et al. 2022)."""

    type: Literal["ia3"] = "ia3"
    targets: Targets = USUAL_TARGETS
    feedforward: Annotated[
        tuple[str, ...],
        Field(
            max_length=64,
            strict=False,
            title="Feed-forward modules",
            description="Those of the target modules that are scaled where they read rather than "
            "where they write.",
        ),
    ] = ()

    @model_validator(mode="after")
    def _feedforward_is_targeted(self) -> Ia3:
        if lost := sorted(set(self.feedforward) - set(self.targets)):
            raise ValueError(f"{lost[0]} is a feed-forward module but no target")
        return self

    @property
    def in_words(self) -> str:
        return f"IA³ on {', '.join(self.targets)}"


class PromptTuning(Whole):
    """Learnt tokens before every text; the model itself stays (Lester et al. 2021)."""

    type: Literal["prompt_tuning"] = "prompt_tuning"
    virtual_tokens: Annotated[
        int,
        Field(
            ge=1,
            le=1024,
            title="Virtual tokens",
            description="How many are learnt; they come on top of the tokens of a text.",
        ),
    ] = 16

    @property
    def in_words(self) -> str:
        return f"a prompt of {self.virtual_tokens} learnt tokens"


class FullWeights(Whole):
    """The weights of every layer, for small models: all of them travel in every round.

    Matrices that the base ties together are trained apart; a parameter outside of any layer, such
    as the position embeddings of vision models, stays.
    """

    type: Literal["full"] = "full"

    @property
    def in_words(self) -> str:
        return "all layers in full"


def _typed(document: object) -> object:
    """Before there were types, every adapter was LoRA."""
    if isinstance(document, Mapping) and "type" not in document:
        return {"type": "lora", **document}
    return document


AdapterPart = Annotated[
    Lora | Ia3 | PromptTuning | FullWeights,
    Field(discriminator="type"),
    BeforeValidator(_typed),
]
