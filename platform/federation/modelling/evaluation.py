"""How well an adapter does on one participation's test data."""

from __future__ import annotations

from pathlib import Path

import torch

from federation.modelling.adapting import adapted
from federation.modelling.batches import batches_by_length, encode
from federation.modelling.config import label_count
from federation.modelling.kinds import kind_of
from federation.modelling.loading import device_for, forked_random, kept_base
from federation.modelling.messages import Evaluated, Examples, OnStep
from federation.modelling.objectives import outcome
from federation.modelling.progress import Progress, tokens_of
from federation.plan import Plan


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
    model.model.eval()
    with torch.inference_mode():
        for indices in batches:
            on_step(progress.report(loss=progress.mean_loss))
            given = [encoded[i] for i in indices]
            batch = kind.batch(given, model, plan, dice)
            result = outcome(model.model, batch, plan)
            progress.add(result, examples=len(given), tokens=tokens_of(given))
    classified = bool(label_count(plan))
    return Evaluated(
        examples=len(encoded),
        correct=progress.correct if classified else None,
        tokens=0 if classified else progress.count,
        loss_sum=progress.loss_sum,
    )
