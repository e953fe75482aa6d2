"""The loss of each task, as sums that add up over batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from federation.modelling.batches import IGNORED, Batch
from federation.plan import Plan, SequenceClassification

_BY_TOKEN = 3  # dimensions: examples, tokens, values


@dataclass(frozen=True, slots=True)
class Outcome:
    """`loss` is summed over `count` examples (classification) or predicted tokens."""

    loss: Tensor
    count: int
    correct: int | None


def outcome(model: Any, batch: Batch, plan: Plan) -> Outcome:
    """One pass over a batch, in the plan's precision; the loss itself is in fp32."""
    output = _logits(model, batch, plan.training.precision)
    if not isinstance(plan.task, SequenceClassification):
        return _continuation(output, batch.targets)
    logits = masked_mean(output, batch.mask) if plan.task.pooling == "mean" else output.float()
    targets = batch.targets[:, 0]
    correct = int((logits.argmax(dim=1) == targets).sum())
    return Outcome(cross_entropy(logits, targets, reduction="sum"), len(batch), correct)


def _logits(model: Any, batch: Batch, precision: str) -> Tensor:
    device = batch.ids.device.type
    with torch.autocast(device, torch.bfloat16, enabled=precision == "bf16"):
        logits: Tensor = model(input_ids=batch.ids, attention_mask=batch.mask).logits
    if logits.dim() == _BY_TOKEN:  # a learnt prompt comes first
        return logits[:, -batch.ids.shape[1] :]
    return logits


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """values: (examples, tokens, labels), mask: (examples, tokens); mean over unmasked tokens."""
    weights = mask.unsqueeze(-1).float()
    return (values.float() * weights).sum(dim=1) / weights.sum(dim=1)


def _continuation(logits: Tensor, targets: Tensor) -> Outcome:
    """Each position predicts the next token; only wanted positions enter the loss."""
    following = targets[:, 1:]
    wanted = following != IGNORED
    loss = cross_entropy(logits[:, :-1][wanted].float(), following[wanted], reduction="sum")
    return Outcome(loss, int(wanted.sum()), None)
