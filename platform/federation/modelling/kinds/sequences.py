"""Texts under labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Generator, Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.collating import collate
from federation.modelling.examples import Answers, Batch, Example, Outcome
from federation.modelling.kinds.base import kinds, label_indices
from federation.modelling.loading import pad_token
from federation.modelling.losses import classification, classified, masked_mean
from federation.modelling.messages import Examples
from federation.plan import Plan, SequenceClassification


@kinds.register("sequence_classification")
class Sequences:
    """Mean pooling rides on token classification: a linear head commutes with the mean."""

    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        task = _task(plan)
        labels = label_indices(examples, task.labels)
        texts = list(examples.texts)
        ids = processor(texts, truncation=True, max_length=task.max_tokens)["input_ids"]
        return [
            Example(tokens or [pad_token(processor)], [label])
            for tokens, label in zip(ids, labels, strict=True)
        ]

    def batch(
        self, chosen: Sequence[Example], model: Adapted, plan: Plan, dice: Generator | None
    ) -> Batch:
        return collate(chosen, pad=model.pad, device=model.device)

    def outcome(self, logits: Tensor, batch: Batch, plan: Plan) -> Outcome:
        return classification(_of_texts(logits, batch, plan), batch.targets)

    def answers(self, logits: Tensor, batch: Batch, plan: Plan) -> Answers:
        return classified(_of_texts(logits, batch, plan), batch.targets)


def _of_texts(logits: Tensor, batch: Batch, plan: Plan) -> Tensor:
    """Shape (examples, labels)."""
    return masked_mean(logits, batch.inputs["attention_mask"]) if _is_mean(plan) else logits


def _task(plan: Plan) -> SequenceClassification:
    assert isinstance(plan.task, SequenceClassification)
    return plan.task


def _is_mean(plan: Plan) -> bool:
    return _task(plan).pooling == "mean"
