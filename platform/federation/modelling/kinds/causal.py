"""Texts that are continued, and answers to prompts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Generator, Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.collating import collate
from federation.modelling.examples import IGNORED, Answers, Batch, Example, Outcome
from federation.modelling.kinds.base import kinds
from federation.modelling.losses import predicted, prediction
from federation.modelling.messages import Examples, ModellingRefused
from federation.modelling.packing import collate_packed
from federation.plan import CausalLanguageModelling, Plan


class Continuing:
    """What continuing a text and answering in a conversation have in common."""

    def batch(
        self, chosen: Sequence[Example], model: Adapted, plan: Plan, dice: Generator | None
    ) -> Batch:
        deal = collate_packed if any(example.lengths for example in chosen) else collate
        return deal(chosen, pad=model.pad, device=model.device)

    def outcome(self, logits: Tensor, batch: Batch, plan: Plan) -> Outcome:
        """Each position predicts the next token."""
        return prediction(logits[:, :-1], batch.targets[:, 1:])

    def answers(self, logits: Tensor, batch: Batch, plan: Plan) -> Answers:
        return predicted(logits[:, :-1], batch.targets[:, 1:])


@kinds.register("causal_lm")
class Causal(Continuing):
    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        assert isinstance(plan.task, CausalLanguageModelling)
        prompts = examples.prompts if examples.prompts is not None else [""] * len(examples)
        heads = processor(list(prompts))["input_ids"]
        answers = processor(list(examples.texts), add_special_tokens=False)["input_ids"]
        return learnable(
            _answered(head, answer, processor.eos_token_id, plan.task.max_tokens)
            for head, answer in zip(heads, answers, strict=True)
        )


def learnable(encoded: Iterable[Example]) -> list[Example]:
    """Those with a token to predict. Raises `ModellingRefused` where there is none."""
    found = [example for example in encoded if example.terms]
    if not found:
        raise ModellingRefused("no_examples", "no example has a token to predict")
    return found


def _answered(head: list[int], answer: list[int], end: int | None, limit: int) -> Example:
    """Prompt and answer in one; only the answer and the end after it are targets.

    Where both are too long, each keeps at least half of the room: the prompt its end, the answer
    its beginning.
    """
    if end is not None:
        head = head[:-1] if head[-1:] == [end] and len(head) > 1 else head
        answer = [*answer, end]
    answer = answer[: max(limit // 2, limit - len(head))]
    head = head[max(0, len(head) + len(answer) - limit) :]
    return predicting([*head, *answer], [IGNORED] * len(head) + answer)


def predicting(ids: list[int], targets: list[int]) -> Example:
    """Nothing predicts the first token."""
    return Example(ids, targets, sum(target != IGNORED for target in targets[1:]))
