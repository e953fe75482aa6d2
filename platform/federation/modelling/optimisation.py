"""The optimiser of a round: rates, schedule, clip, pull to the start, correction, fp16's scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.amp import GradScaler
from torch.autograd import backward
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD, AdamW, Optimizer

from federation.modelling.adapting import Adapted
from federation.modelling.teams import parted
from federation.plan import Training
from federation.rates import pace


@dataclass(slots=True)
class Optimisation:
    """AdamW or SGD over what the adapter trains; one `step` for each group of micro-batches."""

    training: Training
    steps: int
    optimizer: Optimizer
    parameters: Sequence[Tensor]
    origin: list[Tensor]  # where the round began; empty without a pull towards it
    correction: list[Tensor]  # of each gradient; empty without control variates
    scaler: GradScaler

    @property
    def learning_rate(self) -> float:
        return float(self.optimizer.param_groups[0]["lr"])

    def pace(self, step: int) -> None:
        """Set the rates of this step of the round, counted from 0."""
        share = pace(self.training.schedule, self.steps, step)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * share

    def backward(self, loss: Tensor) -> None:
        backward(self.scaler.scale(loss))

    def step(self) -> None:
        """Move the parameters; a step whose fp16 gradients overflowed is left out."""
        self.scaler.unscale_(self.optimizer)
        self._pull()
        clip_grad_norm_(self.parameters, self.training.clip_norm)
        self._correct()
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

    @torch.no_grad()
    def _correct(self) -> None:
        """Add c − cᵢ to what is left of the gradient: SCAFFOLD (`optimisers.Scaffold`).

        After the clip, so that what the site remembers of its steps is as short as its gradients.
        """
        if not self.correction:
            return
        for parameter, correction in zip(self.parameters, self.correction, strict=True):
            if parameter.grad is not None:
                parameter.grad.add_(correction)


def optimisation_of(
    model: Adapted, training: Training, steps: int, correction: Mapping[str, Tensor]
) -> Optimisation:
    """The head learns at a rate of its own; gradients that a cancelled task left are dropped.

    `correction` of the gradients by the names of the parameters, of all or of none.
    """
    factors, head = model.factors, model.head
    groups = [
        {"params": factors, "lr": training.learning_rate},
        {"params": head, "lr": training.head_learning_rate},
    ]
    groups = [{**group, "initial_lr": group["lr"]} for group in groups if group["params"]]
    kind = SGD if training.optimiser == "sgd" else AdamW
    optimizer = kind(groups, weight_decay=training.weight_decay)
    optimizer.zero_grad()
    parameters = [*factors, *head]
    origin = [p.detach().clone() for p in parameters] if training.proximal_mu else []
    names = {id(parameter): name for name, parameter in model.parameters.items()}
    corrections = [
        parted(correction[names[id(p)]].to(model.device), p) for p in parameters if correction
    ]
    scaler = GradScaler(model.device.type, enabled=training.precision == "fp16")
    return Optimisation(training, steps, optimizer, parameters, origin, corrections, scaler)
