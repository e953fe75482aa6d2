"""The loss of each kind of task, as sums that add up over batches."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from federation.modelling.examples import Answers, Batch, Outcome
from federation.modelling.kinds import kind_of
from federation.plan import Plan

_BY_TOKEN = 3  # dimensions: examples, tokens, values
_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def outcome(model: Any, batch: Batch, plan: Plan) -> Outcome:
    """One pass over a batch, in the plan's precision; the loss itself is in fp32."""
    return kind_of(plan).outcome(_logits(model, batch, plan.training.precision), batch, plan)


def answers(model: Any, batch: Batch, plan: Plan) -> Answers:
    """The same, example by example."""
    return kind_of(plan).answers(_logits(model, batch, plan.training.precision), batch, plan)


def _logits(model: Any, batch: Batch, precision: str) -> Tensor:
    device = batch.targets.device.type
    with torch.autocast(device, _DTYPES.get(precision), enabled=precision in _DTYPES):
        logits: Tensor = model(**batch.inputs).logits
    if logits.dim() == _BY_TOKEN:  # a learnt prompt comes first
        return logits[:, -batch.inputs["input_ids"].shape[1] :]
    return logits
