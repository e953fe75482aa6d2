"""Examples, encoded, and dealt into padded batches of similar length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from federation.modelling.examples import Example
from federation.modelling.kinds import kind_of
from federation.modelling.messages import Examples, ModellingRefused
from federation.modelling.packing import packed
from federation.plan import Plan
from federation.plan_tasks import Continuing

_WINDOW = 16  # so many batches are sorted by length together


def encode(
    examples: Examples, plan: Plan, processor: Any, *, packing: bool = False
) -> list[Example]:
    """Prepare everything once. Raises `ModellingRefused` for data that does not fit the plan.

    `packing`: whether texts may share rows, if the plan says so.
    """
    if not len(examples):
        raise ModellingRefused("no_examples", "there are no examples")
    encoded = kind_of(plan).encode(examples, plan, processor)
    if packing and isinstance(plan.task, Continuing) and plan.task.packing:
        return packed(encoded, plan.task.max_tokens)
    return encoded


def round_of_batches(examples: Sequence[Example], plan: Plan, seed: int) -> list[list[int]]:
    """Indices of every micro-batch of one round of training, in order, drawn from the seed."""
    training = plan.training
    generator = torch.Generator().manual_seed(seed)
    dealt: list[list[int]] = []
    for epoch in range(math.ceil(training.epochs)):
        batches = _shuffled(examples, training.batch_size, generator)
        share = min(1.0, training.epochs - epoch)
        dealt += batches[: math.ceil(share * len(batches))]
    if training.max_steps is None:
        return dealt
    return dealt[: training.max_steps * training.accumulation]


def _shuffled(
    examples: Sequence[Example], size: int, generator: torch.Generator
) -> list[list[int]]:
    """One epoch: batches of similar length, so that little is padding, in random order."""
    order = torch.randperm(len(examples), generator=generator).tolist()
    batches: list[list[int]] = []
    for start in range(0, len(order), size * _WINDOW):
        window = sorted(order[start : start + size * _WINDOW], key=lambda i: len(examples[i].ids))
        batches += _cut(window, size)
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


def batches_by_length(examples: Sequence[Example], size: int) -> list[list[int]]:
    """Every example once, the longest first: what does not fit in memory shows at once."""
    order = sorted(range(len(examples)), key=lambda i: len(examples[i].ids), reverse=True)
    return _cut(order, size)


def _cut(order: Sequence[int], size: int) -> list[list[int]]:
    return [list(order[start : start + size]) for start in range(0, len(order), size)]
