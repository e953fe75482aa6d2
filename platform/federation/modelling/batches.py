"""Examples as token ids, dealt into padded batches of similar length."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from federation.modelling.loading import pad_token
from federation.modelling.messages import Examples, ModellingRefused
from federation.plan import CausalLanguageModelling, Plan, SequenceClassification

IGNORED = -100  # torch's cross entropy leaves such a target out
_WINDOW = 16  # so many batches are sorted by length together


@dataclass(frozen=True, slots=True)
class Example:
    """One tokenised example with `terms` terms in the loss.

    `targets` is the label's index alone, or for each token itself where it is to be predicted.
    """

    ids: list[int]
    targets: list[int]
    terms: int = 1


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded on the right. ids, mask: (examples, tokens); targets: (examples, targets)."""

    ids: Tensor
    mask: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.ids)


def encode(examples: Examples, plan: Plan, tokenizer: Any) -> list[Example]:
    """Tokenise everything once. Raises `ModellingRefused` for data that does not fit the plan."""
    if not examples.texts:
        raise ModellingRefused("no_examples", "there are no examples")
    if isinstance(plan.task, SequenceClassification):
        return _classified(examples, plan.task, tokenizer)
    return _continued(examples, plan.task, tokenizer)


def _classified(examples: Examples, task: SequenceClassification, tokenizer: Any) -> list[Example]:
    if examples.labels is None:
        raise ModellingRefused("labels_missing", "classification needs a label for each text")
    index = {label: number for number, label in enumerate(task.labels)}
    unknown = sum(label not in index for label in examples.labels)
    if unknown:
        total = len(examples.labels)
        raise ModellingRefused(
            "unknown_label", f"{unknown} of {total} examples have a label the plan does not list"
        )
    ids = tokenizer(list(examples.texts), truncation=True, max_length=task.max_tokens)["input_ids"]
    return [
        Example(tokens or [pad_token(tokenizer)], [index[label]])
        for tokens, label in zip(ids, examples.labels, strict=True)
    ]


def _continued(examples: Examples, task: CausalLanguageModelling, tokenizer: Any) -> list[Example]:
    prompts = examples.prompts if examples.prompts is not None else [""] * len(examples)
    heads = tokenizer(list(prompts))["input_ids"]
    answers = tokenizer(list(examples.texts), add_special_tokens=False)["input_ids"]
    encoded = [
        _answered(head, answer, tokenizer.eos_token_id, task.max_tokens)
        for head, answer in zip(heads, answers, strict=True)
    ]
    learnable = [example for example in encoded if example.terms]
    if not learnable:
        raise ModellingRefused("no_examples", "no example has a token to predict")
    return learnable


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
    targets = [IGNORED] * len(head) + answer
    return Example([*head, *answer], targets, sum(target != IGNORED for target in targets[1:]))


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


def collate(examples: Sequence[Example], *, pad: int, device: torch.device) -> Batch:
    ids = _padded([example.ids for example in examples], pad)
    mask = _padded([[1] * len(example.ids) for example in examples], 0)
    targets = _padded([example.targets for example in examples], IGNORED)
    return Batch(ids.to(device), mask.to(device), targets.to(device))


def _padded(rows: Sequence[list[int]], value: int) -> Tensor:
    tensors = [torch.tensor(row) for row in rows]
    return pad_sequence(tensors, batch_first=True, padding_value=value)
