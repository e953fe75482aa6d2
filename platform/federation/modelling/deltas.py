"""What an adapter makes of the parameters of its base model, one at a time.

The formulas are peft's: LoRA and rsLoRA (W + s·B·A), DoRA (the rows of that at learnt magnitudes;
Liu et al. 2024, arXiv:2402.09353, equation 5), IA3 (rows or columns scaled), and whole copies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from math import sqrt
from typing import Any

import torch
from torch import Tensor

from federation.layout import A_SUFFIX, B_SUFFIX, Shape
from federation.modelling.config import COPY
from federation.modelling.messages import ModellingRefused
from federation.tensors import TensorFile

_OUTER = "base_model.model."
_MAGNITUDE, _SCALES, _PROMPT = ".lora_magnitude_vector", ".ia3_l", "prompt_embeddings"
_TAKEN_ALONG = (B_SUFFIX, _MAGNITUDE)  # read with the A beside them


@dataclass(frozen=True, slots=True)
class Change:
    """From the base's values in fp32, of a matrix as (out, in), to the merged ones.

    `shape` is that of the result where nothing of the base is needed, and the argument is empty.
    """

    apply: Callable[[Tensor], Tensor]
    shape: Shape | None = None


def changes_by(file: TensorFile, config: Mapping[str, Any]) -> dict[str, Change]:
    """What the adapter does, by the base's names; `config` is its adapter_config.json.

    A bias among them may be one that the base does not have. Raises `ModellingRefused` for a
    learnt prompt.
    """
    return {
        parameter.removeprefix(_OUTER): change
        for name in file.layout.tensors
        for parameter, change in _changes(file, config, name)
    }


def _changes(
    file: TensorFile, config: Mapping[str, Any], name: str
) -> Iterator[tuple[str, Change]]:
    if name == _PROMPT:
        raise ModellingRefused(
            "not_mergeable", "a learnt prompt stands before the text and changes no weight"
        )
    if name.endswith(A_SUFFIX):
        module = name.removesuffix(A_SUFFIX)
        yield f"{module}.weight", Change(partial(_with_product, file, module, _scale(config)))
    elif name.endswith(_SCALES):
        module = name.removesuffix(_SCALES)
        yield f"{module}.weight", Change(partial(_scaled, file, name))
        if file.layout.tensors[name].shape[1] == 1:  # of a layer's answers, not of what it is given
            yield f"{module}.bias", Change(partial(_scaled, file, name))
    elif not name.endswith(_TAKEN_ALONG):
        shape = file.layout.tensors[name].shape
        yield name.replace(COPY, "."), Change(lambda _: file.tensor(name), shape)


def _scale(config: Mapping[str, Any]) -> float:
    rank = config["r"]
    return float(config["lora_alpha"] / (sqrt(rank) if config["use_rslora"] else rank))


def _with_product(file: TensorFile, module: str, scale: float, weight: Tensor) -> Tensor:
    b, a = (file.tensor(module + end).flatten(1).float() for end in (B_SUFFIX, A_SUFFIX))
    merged = weight.addmm_(b, a, alpha=scale)
    if not file.holds(module + _MAGNITUDE):
        return merged
    magnitude = file.tensor(module + _MAGNITUDE).float().reshape(-1)
    return merged.mul_((magnitude / torch.linalg.vector_norm(merged, dim=1)).unsqueeze(1))


def _scaled(file: TensorFile, name: str, values: Tensor) -> Tensor:
    scales = file.tensor(name).float()
    return values.mul_(scales.flatten() if values.dim() == 1 else scales.flatten(1))
