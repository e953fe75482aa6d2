"""How well an adapter does on one participation's test data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from federation.modelling.adapting import adapted
from federation.modelling.batches import batches_by_length, encode
from federation.modelling.examples import Answers, Outcome
from federation.modelling.kinds import kind_of
from federation.modelling.loading import device_for, forked_random, kept_base
from federation.modelling.messages import Evaluated, Examples, OnStep
from federation.modelling.objectives import answers
from federation.modelling.progress import Progress, tokens_of
from federation.plan import Plan
from federation.protocol import Scores
from federation.tallies import Rows

OutOfMemoryError = torch.OutOfMemoryError  # for callers that do not know torch


def evaluate(
    *,
    base: Path,
    plan: Plan,
    adapter: Path,
    examples: Examples,
    on_step: OnStep,
    device: str = "auto",
) -> Evaluated:
    """Measure a shared adapter, at the plan's full rank, on every example.

    `on_step` is called before every batch; what it raises ends the evaluation.
    Raises `ModellingRefused`.
    """
    chosen = device_for(plan, device)
    with forked_random(chosen):
        model = adapted(kept_base(base, plan, chosen), plan, rank=plan.adapter.rank, file=adapter)
    encoded = encode(examples, plan, model.processor)
    batches = batches_by_length(encoded, plan.training.batch_size)
    progress = Progress(steps=len(batches), device=model.device)
    kind, dice = kind_of(plan), torch.Generator().manual_seed(plan.seed)
    found: list[Answers] = []
    model.model.eval()
    with torch.inference_mode():
        for indices in batches:
            on_step(progress.report(loss=progress.mean_loss))
            given = [encoded[i] for i in indices]
            found.append(answers(model.model, kind.batch(given, model, plan, dice), plan))
            progress.add(_outcome(found[-1]), examples=len(given), tokens=tokens_of(given))
    order = torch.tensor([place for indices in batches for place in indices])
    return Evaluated(_rows(found, order), _scores(found))


def _outcome(batch: Answers) -> Outcome:
    return Outcome(batch.losses.sum(), int(batch.terms.sum()), None)


def _rows(found: Sequence[Answers], order: Tensor) -> Rows:
    """Example by example in the order of the data; `order`: where each one stands in it."""
    back = order.argsort()

    def column(name: str) -> tuple[int, ...] | None:
        parts = [part for one in found if (part := getattr(one, name)) is not None]
        return tuple(torch.cat(parts)[back].tolist()) if parts else None

    losses = torch.cat([one.losses for one in found])[back].tolist()
    return Rows(tuple(losses), column("terms") or (), column("truths"), column("answers"))


def _scores(found: Sequence[Answers]) -> Scores | None:
    parts = [one.scores for one in found if one.scores is not None]
    if not parts:
        return None
    right, wrong = torch.stack(parts).sum(dim=0).tolist()
    return Scores(right=tuple(right), wrong=tuple(wrong))
