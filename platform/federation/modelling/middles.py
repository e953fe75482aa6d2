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
    for layer in model.modules():
        if not isinstance(layer, LoraLayer) or adapter not in layer.lora_B:
            continue
        outer = layer.lora_B[adapter]
        if not isinstance(outer, nn.Linear):
            raise ModellingRefused(
                "targets_unsuitable", "a matrix between the factors is for linear layers only"
            )
        rank, weight = outer.in_features, outer.weight
        middle = nn.Linear(rank, rank, bias=False, device=weight.device, dtype=weight.dtype)
        layer.lora_B[adapter] = nn.Sequential(OrderedDict(middle=middle, outer=outer))


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
