"""What a person asks a version in the playground, and what comes back. Nothing here imports torch.

None of this is ever written down: whoever logs or stores one of these breaks a promise.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import Base64Bytes, BaseModel, ConfigDict, Field

from federation.plan import Plan

Asked: TypeAlias = Literal["labels", "image", "gaps", "continuation", "chat"]

# What each type of task is asked; one that is not here has no playground.
PLAYGROUNDS: Final[dict[str, Asked]] = {
    "sequence_classification": "labels",
    "image_classification": "image",
    "masked_lm": "gaps",
    "causal_lm": "continuation",
    "chat": "chat",
}
GENERATING: Final = frozenset({"continuation", "chat"})
MOST_CHARACTERS: Final = 4000
MOST_IMAGE_BYTES: Final = 700_000
MOST_NEW_TOKENS: Final = 200
USUAL_NEW_TOKENS: Final = 60


class Message(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Question(Message):
    """A text, or an image as a file's bytes; `new_tokens` bounds what is generated."""

    text: Annotated[str, Field(max_length=MOST_CHARACTERS)] = ""
    image: Base64Bytes | None = None
    new_tokens: Annotated[int, Field(ge=1, le=MOST_NEW_TOKENS)] = USUAL_NEW_TOKENS


class Guess(Message):
    """One label or word, and its probability."""

    words: str
    share: float


class Reply(Message):
    """What one model says: guesses, the likeliest first, or a text.

    `guesses` has one list for a text or an image, and one for each gap. `others` counts the labels
    that are not listed. `is_cut`: the tokens or the time were over before the text was.
    """

    guesses: tuple[tuple[Guess, ...], ...] = ()
    others: int = 0
    text: str | None = None
    is_cut: bool = False


class Answer(Message):
    """Both replies; the base has none of its own where only the version has the labels' head.

    `is_shortened`: the text was cut to as many tokens as in training.
    """

    version: Reply
    base: Reply | None
    is_shortened: bool
    seconds: float


def playground_of(plan: Plan) -> Asked | None:
    """What a version of this plan can be asked; None: nothing."""
    return PLAYGROUNDS.get(plan.task.type)
