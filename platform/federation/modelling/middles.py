"""Adapters of three factors: peft's A and B, and a small matrix R between them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from federation.layout import B_SUFFIX, R_SUFFIX, lora_factor
from federation.modelling.messages import ModellingRefused


def give_middles(model: Any, adapter: str) -> None:
    """Have R applied before B, in every layer of an adapter; what peft calls B becomes the two."""
    for layer in linear_layers(model, adapter).values():
        outer = layer.lora_B[adapter]
        rank, weight = outer.in_features, outer.weight
        middle = nn.Linear(rank, rank, bias=False, device=weight.device, dtype=weight.dtype)
        layer.lora_B[adapter] = nn.Sequential(OrderedDict(middle=middle, outer=outer))


def linear_layers(model: Any, adapter: str) -> dict[str, Any]:
    """The layers that have this adapter, by name. Refused where one is not linear."""
    named = ((name, one) for name, one in model.named_modules() if isinstance(one, LoraLayer))
    found = {name: one for name, one in named if adapter in one.lora_A}
    if any(not isinstance(one.lora_A[adapter], nn.Linear) for one in found.values()):
        raise ModellingRefused(
            "targets_unsuitable", "the plan's strategy works on linear layers only"
        )
    return found


def file_name(name: str, adapter: str) -> str:
    """The name that a tensor has in files, from the one that it has in the model."""
    inner = f".lora_B.{adapter}"
    return name.replace(f"{inner}.middle.weight", R_SUFFIX).replace(
        f"{inner}.outer.weight", B_SUFFIX
    )


@torch.no_grad()
def draw(parameters: Mapping[str, Tensor]) -> None:
    """Fixed factors with orthonormal components, from the generator as it is; R is zero."""
    for name, parameter in parameters.items():
        match lora_factor(name):
            case "A" | "B":
                nn.init.orthogonal_(parameter)
            case "R":
                nn.init.zeros_(parameter)
