"""What goes into training and evaluation, and what comes out. Nothing here imports torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import fsum
from pathlib import Path

from federation.protocol import Scores
from federation.tallies import Rows


class ModellingRefused(ValueError):
    """The model cannot be built, trained or measured as asked, and trying again cannot help.

    `code` is stable. Of the base: base_unreadable, base_incomplete, targets_missing,
    targets_unsuitable, no_chat_template, chat_template_unsuitable, no_mask_token,
    packing_unsupported. Of the adapter: adapter_mismatch, not_mergeable. Of the data: no_examples,
    labels_missing, unknown_label, messages_missing, chat_refused, images_missing, image_unreadable.
    Of the place: images_unsupported, precision_unsupported, quantisation_unsupported,
    sharding_unsupported. Of the training: diverged, gradient_checkpointing_unsupported. Of a
    question: prompt_too_long, nothing_hidden, answer_too_slow. `detail` never quotes an example or
    a question.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Examples:
    """Local data. Classification needs `labels`; in language modelling `prompts` may precede.

    With prompts, each text is the answer to the prompt beside it, and only answers are learnt.
    Instead of texts there may be `messages`, whole conversations whose messages have a role and
    a content, or `images`, files.
    """

    texts: Sequence[str] = ()
    labels: Sequence[str] | None = None
    prompts: Sequence[str] | None = None
    messages: Sequence[Sequence[Mapping[str, str]]] | None = None
    images: Sequence[Path] | None = None

    def __len__(self) -> int:
        return len(next((c for c in (self.images, self.messages) if c is not None), self.texts))

    def fingerprint(self) -> str:
        """SHA-256 of everything there is, in its order."""
        digest = hashlib.sha256()
        images = None if self.images is None else [_stamped(file) for file in self.images]
        columns: tuple[Sequence[object] | None, ...] = (
            self.texts,
            self.labels,
            self.prompts,
            self.messages,
            images,
        )
        for column in columns:
            digest.update(b"none" if column is None else b"%d" % len(column))
            for value in column or ():
                digest.update(json.dumps(value).encode() + b"\n")
        return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Step:
    """Where the work stands before its next micro-batch; `step` counts the finished ones.

    `loss` is that of the last batch in training, the mean so far in evaluation. `memory_bytes`:
    the most that the work has held on its device.
    """

    step: int
    steps: int
    loss: float | None
    learning_rate: float
    examples_per_second: float | None
    tokens_per_second: float | None = None
    memory_bytes: int | None = None


def _stamped(file: Path) -> list[str | int]:
    """A file that was changed has another one."""
    facts = file.stat()
    return [str(file), facts.st_size, facts.st_mtime_ns]


OnStep = Callable[[Step], None]


def _nothing() -> None:
    """What follows a checkpoint if nobody asks for more."""


@dataclass(frozen=True, slots=True)
class Checkpointing:
    """Where a training writes down how far it is, how often, and who is told of it.

    0 seconds: after every optimiser step. The file is the caller's to remove.
    """

    file: Path
    every_seconds: float = 60.0
    on_saved: Callable[[], None] = _nothing


@dataclass(frozen=True, slots=True)
class Seat:
    """The place of one process among those that share a training, counted from 0.

    `meeting`: a file that does not exist yet, through which they find each other. `is_sharded`:
    whether each holds a part of the model, rather than a copy of it.
    """

    index: int
    size: int
    meeting: Path
    is_sharded: bool = False


@dataclass(frozen=True, slots=True)
class Trained:
    """What a round of training did: distinct examples, tokens read, optimiser steps, mean loss.

    `loss` is the mean over everything seen in the round. `device_seconds` are the seconds of
    the processor on a CPU, and of the wall on an accelerator; of several devices their sum.
    """

    examples: int
    tokens: int
    steps: int
    loss: float
    device_seconds: float


@dataclass(frozen=True, slots=True)
class Evaluated:
    """What a model made of one test set. Only sums of it leave the site: tallies.result_of.

    `loss_sum` is over examples in classification, over `tokens` predicted in language modelling.
    """

    rows: Rows
    scores: Scores | None = None

    @property
    def examples(self) -> int:
        return len(self.rows)

    @property
    def correct(self) -> int | None:
        hits = self.rows.hits
        return None if hits is None else sum(hits)

    @property
    def tokens(self) -> int:
        return sum(self.rows.terms) if self.rows.truths is None else 0

    @property
    def loss_sum(self) -> float:
        return fsum(self.rows.losses)
