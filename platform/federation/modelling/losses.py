"""Losses as sums that add up over batches, in fp32."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import cross_entropy

from federation.modelling.examples import IGNORED, Outcome


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """values: (examples, tokens, labels), mask: (examples, tokens); mean over unmasked tokens."""
    weights = mask.unsqueeze(-1).float()
    return (values.float() * weights).sum(dim=1) / weights.sum(dim=1)


def classification(logits: Tensor, targets: Tensor) -> Outcome:
    """logits: (examples, labels), targets: (examples, 1)."""
    logits, wanted = logits.float(), targets[:, 0]
    correct = int((logits.argmax(dim=1) == wanted).sum())
    return Outcome(cross_entropy(logits, wanted, reduction="sum"), len(wanted), correct)


def prediction(logits: Tensor, targets: Tensor) -> Outcome:
    """logits: (rows, tokens, vocabulary); only targets that are wanted enter the loss."""
    wanted = targets != IGNORED
    loss = cross_entropy(logits[wanted].float(), targets[wanted], reduction="sum")
    return Outcome(loss, int(wanted.sum()), None)
