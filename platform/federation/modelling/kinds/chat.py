"""Conversations in the base model's own template; only the assistant's words are learnt."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from jinja2 import TemplateError

from federation.modelling.examples import IGNORED, Example
from federation.modelling.kinds.base import kinds
from federation.modelling.kinds.causal import Continuing, learnable, predicting
from federation.modelling.messages import Examples, ModellingRefused
from federation.plan import Chat, Plan

Message = Mapping[str, str]


@kinds.register("chat")
class Chats(Continuing):
    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        assert isinstance(plan.task, Chat)
        if not processor.chat_template:
            raise ModellingRefused(
                "no_chat_template", "the base model's tokenizer has no chat template"
            )
        if examples.messages is None:
            raise ModellingRefused("messages_missing", "chats need messages for each example")
        limit = plan.task.max_tokens
        return learnable(_encoded(talk, processor, limit) for talk in examples.messages)


def _encoded(talk: Sequence[Message], tokenizer: Any, limit: int) -> Example:
    """The whole conversation, cut at the limit. Pieces are tokenised apart, as generation does."""
    ids: list[int] = []
    targets: list[int] = []
    for text, is_answer in _pieces(talk, tokenizer):
        piece = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids += piece
        targets += piece if is_answer else [IGNORED] * len(piece)
    return predicting(ids[:limit], targets[:limit])


def _pieces(talk: Sequence[Message], tokenizer: Any) -> Iterator[tuple[str, bool]]:
    """The written conversation in pieces: what is given, and what the assistant adds to it.

    An answer is what the template writes with it beyond the invitation to give it, the end of the
    turn included.
    """
    written = ""
    for number, message in enumerate(talk):
        if message["role"] != "assistant":
            continue
        invitation = in_template(talk[:number], tokenizer, invites=True)
        answered = in_template(talk[: number + 1], tokenizer)
        if not (invitation.startswith(written) and answered.startswith(invitation)):
            raise ModellingRefused(
                "chat_template_unsuitable",
                "the chat template rewrites earlier turns, so answers cannot be told apart",
            )
        yield invitation[len(written) :], False
        yield answered[len(invitation) :], True
        written = answered


def in_template(talk: Sequence[Message], tokenizer: Any, *, invites: bool = False) -> str:
    """The conversation as the base model has it written; `invites` the assistant's next turn."""
    try:
        return str(
            tokenizer.apply_chat_template(
                [dict(message) for message in talk], tokenize=False, add_generation_prompt=invites
            )
        )
    except TemplateError as error:
        raise ModellingRefused(
            "chat_refused", "the chat template takes no conversation with these roles"
        ) from error
