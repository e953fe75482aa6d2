"""Hidden words that are filled in; BERT (Devlin et al. 2018, arXiv:1810.04805, 3.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from federation.modelling.adapting import Adapted
from federation.modelling.collating import collate
from federation.modelling.examples import IGNORED, Answers, Batch, Example, Outcome
from federation.modelling.kinds.base import kinds
from federation.modelling.losses import predicted, prediction
from federation.modelling.messages import Examples, ModellingRefused
from federation.plan import MaskedLanguageModelling, Plan

HIDDEN, REPLACED = 0.8, 0.1  # of the tokens to be filled in; the others are shown as they are


@kinds.register("masked_lm")
class Masked:
    """We hide an exact number of tokens of each text, so that the terms of a loss are known."""

    def encode(self, examples: Examples, plan: Plan, processor: Any) -> list[Example]:
        assert isinstance(plan.task, MaskedLanguageModelling)
        if processor.mask_token_id is None:
            raise ModellingRefused(
                "no_mask_token", "the base model's tokenizer has no token to hide others with"
            )
        task, texts = plan.task, list(examples.texts)
        ids = processor(texts, truncation=True, max_length=task.max_tokens)["input_ids"]
        special = set(processor.all_special_ids) - {processor.unk_token_id}
        found = [_hideable(tokens, special, task.hidden) for tokens in ids]
        if not (kept := [example for example in found if example.terms]):
            raise ModellingRefused("no_examples", "no example has a token to hide")
        return kept

    def batch(
        self, chosen: Sequence[Example], model: Adapted, plan: Plan, dice: Generator | None
    ) -> Batch:
        hidden = [_hidden(example, model.processor, dice) for example in chosen]
        return collate(hidden, pad=model.pad, device=model.device)

    def outcome(self, logits: Tensor, batch: Batch, plan: Plan) -> Outcome:
        return prediction(logits, batch.targets)

    def answers(self, logits: Tensor, batch: Batch, plan: Plan) -> Answers:
        return predicted(logits, batch.targets)


def _hideable(tokens: list[int], special: set[int], share: float) -> Example:
    targets = [IGNORED if token in special else token for token in tokens]
    count = sum(target != IGNORED for target in targets)
    return Example(tokens, targets, max(1, round(share * count)) if count else 0)


def _hidden(example: Example, tokenizer: Any, dice: Generator | None) -> Example:
    """The example with some of its tokens hidden, which alone are its targets."""
    places = [place for place, target in enumerate(example.targets) if target != IGNORED]
    order = torch.randperm(len(places), generator=dice)[: example.terms].tolist()
    fates = torch.rand(example.terms, generator=dice).tolist()
    others = torch.randint(len(tokenizer), (example.terms,), generator=dice).tolist()
    ids, targets = list(example.ids), [IGNORED] * len(example.ids)
    for number, fate, other in zip(order, fates, others, strict=True):
        place = places[number]
        targets[place] = example.ids[place]
        if fate < HIDDEN:
            ids[place] = tokenizer.mask_token_id
        elif fate < HIDDEN + REPLACED:
            ids[place] = other
    return Example(ids, targets, example.terms)
