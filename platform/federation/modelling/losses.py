"""Losses in fp32: as sums that add up over batches, and example by example."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, log_softmax, one_hot

from federation.modelling.examples import IGNORED, Answers, Outcome
from federation.protocol import SCORE_BINS
from federation.tallies import BINARY, HIGHEST_SCORE


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


def classified(logits: Tensor, targets: Tensor) -> Answers:
    """logits: (examples, labels), targets: (examples, 1)."""
    logits, wanted = logits.float().cpu(), targets[:, 0].cpu()
    losses = cross_entropy(logits, wanted, reduction="none").double()
    scores = _scores(logits.double(), wanted)
    return Answers(losses, torch.ones_like(wanted), wanted, logits.argmax(dim=1), scores)


def _scores(logits: Tensor, wanted: Tensor) -> Tensor:
    """Histograms of log-odds, as federation/tallies.py has them; two labels have one score."""
    labels = logits.shape[1]
    chances = log_softmax(logits, dim=1)
    odds = chances - torch.log1p(-chances.exp().clamp(max=1.0))
    share = (odds.clamp(-HIGHEST_SCORE, HIGHEST_SCORE) + HIGHEST_SCORE) / (2 * HIGHEST_SCORE)
    bins = (share * SCORE_BINS).long().clamp(0, SCORE_BINS - 1)
    is_right = one_hot(wanted, labels).bool()
    if labels == BINARY:
        bins, is_right = bins[:, 1:], is_right[:, 1:]
    return torch.stack(
        [bins[which].bincount(minlength=SCORE_BINS) for which in (is_right, ~is_right)]
    )


def predicted(logits: Tensor, targets: Tensor) -> Answers:
    """logits: (rows, tokens, vocabulary); only targets that are wanted enter the loss."""
    wanted = targets != IGNORED
    terms = wanted.sum(dim=1).cpu()
    each = cross_entropy(logits[wanted].float(), targets[wanted], reduction="none").cpu().double()
    rows = torch.repeat_interleave(torch.arange(len(terms)), terms)
    losses = torch.zeros(len(terms), dtype=torch.float64).index_add_(0, rows, each)
    return Answers(losses, terms)
