"""The optimiser of a round: rates, schedule, clip, the pull towards the start, fp16's scale."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.autograd import backward
from torch.nn.utils import clip_grad_norm_
from torch.optim import AdamW

from federation.modelling.adapting import Adapted
from federation.plan import Training


@dataclass(slots=True)
class Optimisation:
    """AdamW over whatever the adapter trains; one `step` for each group of micro-batches."""

    training: Training
    steps: int
    optimizer: AdamW
    parameters: Sequence[Tensor]
    origin: list[Tensor]  # where the round began; empty without a pull towards it
    scaler: GradScaler

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def pace(self, step: int) -> None:
        """Set the rates of this step of the round, counted from 0."""
        share = _pace(self.training.schedule, self.steps, step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share

    def backward(self, loss: Tensor) -> None:
        backward(self.scaler.scale(loss))

    def step(self) -> None:
        """Move the parameters; a step whose fp16 gradients overflowed is left out."""
        self.scaler.unscale_(self.optimizer)
        self._pull()
        clip_grad_norm_(self.parameters, self.training.clip_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad()

    @torch.no_grad()
    def _pull(self) -> None:
        """Add the gradient of μ/2·‖w − w₀‖²: FedProx (Li et al. 2018, arXiv:1812.06127)."""
        if not self.origin:
            return
        for parameter, origin in zip(self.parameters, self.origin, strict=True):
            if parameter.grad is not None:
                pull = parameter - origin
                parameter.grad.add_(pull, alpha=self.training.proximal_mu)


def optimisation_of(model: Adapted, training: Training, steps: int) -> Optimisation:
    """The head learns at a rate of its own; gradients that a cancelled task left are dropped."""
    factors, head = model.factors, model.head
    groups = [
        {"params": factors, "lr": training.learning_rate},
        {"params": head, "lr": training.head_learning_rate},
    ]
    groups = [{**group, "initial_lr": group["lr"]} for group in groups if group["params"]]
    optimizer = AdamW(groups, weight_decay=training.weight_decay)
    optimizer.zero_grad()
    parameters = [*factors, *head]
    origin = [p.detach().clone() for p in parameters] if training.proximal_mu else []
    scaler = GradScaler(model.device.type, enabled=training.precision == "fp16")
    return Optimisation(training, steps, optimizer, parameters, origin, scaler)


def _pace(schedule: str, steps: int, step: int) -> float:
    """The share of the learning rate at this step of the round."""
    if schedule == "linear":
        return 1.0 - step / steps
    if schedule == "cosine":
        return 0.5 + 0.5 * math.cos(math.pi * step / steps)
    return 1.0
