"""What the data becomes on its way to the model, and what comes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

IGNORED = -100  # torch's cross entropy leaves such a target out


@dataclass(frozen=True, slots=True)
class Example:
    """One encoded example with `terms` terms in the loss.

    `targets` is the label's index alone, or for each token itself where it is to be predicted.
    `lengths`: of the texts that share this row, where they do. `image`: the file that is looked at
    instead of tokens.
    """

    ids: list[int]
    targets: list[int]
    terms: int = 1
    lengths: tuple[int, ...] = ()
    image: Path | None = None

    @property
    def members(self) -> int:
        """How many of the site's examples it is."""
        return len(self.lengths) or 1


@dataclass(frozen=True, slots=True)
class Batch:
    """What the model is called with, by name, and what it should answer: (examples, targets)."""

    inputs: Mapping[str, Tensor]
    targets: Tensor

    def __len__(self) -> int:
        return len(self.targets)


@dataclass(frozen=True, slots=True)
class Outcome:
    """`loss` is summed over `count` examples (classification) or predicted tokens."""

    loss: Tensor
    count: int
    correct: int | None


@dataclass(frozen=True, slots=True)
class Answers:
    """What a model made of the examples of a batch, one by one: each is (examples,).

    `losses`, in fp64, are summed over `terms`. With labels, `truths` and `answers` are their
    places, and `scores` counts by bin: (2, bins), where a label was right and where it was wrong.
    """

    losses: Tensor
    terms: Tensor
    truths: Tensor | None = None
    answers: Tensor | None = None
    scores: Tensor | None = None
