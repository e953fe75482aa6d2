"""One participation's training in one round."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd import backward
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from federation.modelling.batches import Example, collate, encode, round_of_batches
from federation.modelling.loading import (
    Adapted,
    adapted,
    choose_device,
    forked_random,
    keep,
    kept_base,
)
from federation.modelling.messages import Examples, OnStep, Trained
from federation.modelling.objectives import outcome
from federation.modelling.progress import Progress, device_clock
from federation.plan import Plan, Training


def train(
    *,
    base: Path,
    plan: Plan,
    start: Path,
    rank: int,
    seed: int,
    examples: Examples,
    target: Path,
    on_step: OnStep,
    device: str = "auto",
) -> Trained:
    """Train `start` on the examples for one round of the plan and write the result to `target`.

    `start` is the shared adapter, cut to `rank`. The optimiser begins anew each round. On a CPU,
    with the same number of threads, equal arguments give equal bytes. `on_step` is called before
    every micro-batch; what it raises ends the training, and nothing is written.
    Raises `ModellingRefused`.
    """
    chosen = choose_device(device)
    began = device_clock(chosen)
    with forked_random(chosen):
        model = adapted(kept_base(base, plan, chosen), plan, rank=rank, file=start)
        encoded = encode(examples, plan, model.tokenizer)
        batches = round_of_batches(encoded, plan, seed)
        torch.manual_seed(seed)  # only now: a base that was kept has drawn nothing so far
        done = _run(model, plan, encoded, batches, on_step)
    keep(model.parameters, target)
    return Trained(
        examples=len({index for batch in batches for index in batch}),
        tokens=sum(len(encoded[index].ids) for batch in batches for index in batch),
        steps=math.ceil(len(batches) / plan.training.accumulation),
        loss=done.loss_sum / done.count,
        device_seconds=device_clock(chosen) - began,
    )


def _run(
    model: Adapted,
    plan: Plan,
    encoded: Sequence[Example],
    batches: Sequence[list[int]],
    on_step: OnStep,
) -> Progress:
    optimizer, parameters = _optimizer(model, plan.training)
    groups = _grouped(batches, plan.training.accumulation)
    pace = LambdaLR(optimizer, partial(_pace, plan.training.schedule, len(groups)))
    progress = Progress(steps=len(batches))
    model.model.train()
    for group in groups:
        terms = sum(encoded[index].terms for indices in group for index in indices)
        for indices in group:
            rate = float(pace.get_last_lr()[0])
            on_step(progress.report(loss=progress.last_loss, learning_rate=rate))
            batch = collate([encoded[i] for i in indices], pad=model.pad, device=model.device)
            result = outcome(model.model, batch, plan)
            backward(result.loss / terms)
            progress.add(result, len(indices))
        clip_grad_norm_(parameters, plan.training.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        pace.step()
    return progress


def _grouped(batches: Sequence[list[int]], size: int) -> list[Sequence[list[int]]]:
    """Micro-batches by the optimiser step they share."""
    return [batches[start : start + size] for start in range(0, len(batches), size)]


def _optimizer(model: Adapted, training: Training) -> tuple[AdamW, list[Tensor]]:
    """The head learns at a rate of its own; gradients that a cancelled task left are dropped."""
    named = [(name, p) for name, p in model.model.named_parameters() if p.requires_grad]
    factors = [p for name, p in named if "lora_" in name]
    head = [p for name, p in named if "lora_" not in name]
    groups = [
        {"params": factors, "lr": training.learning_rate},
        {"params": head, "lr": training.head_learning_rate},
    ]
    optimizer = AdamW(
        [group for group in groups if group["params"]], weight_decay=training.weight_decay
    )
    optimizer.zero_grad()
    return optimizer, factors + head


def _pace(schedule: str, steps: int, step: int) -> float:
    """The share of the learning rate at this step of the round."""
    if schedule == "linear":
        return 1.0 - step / steps
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return 1.0
