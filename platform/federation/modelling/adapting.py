"""Adapters laid over a base model: the weights that are trained, and travel."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from peft import PeftConfig, get_peft_config, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor
from torch.nn import Parameter

from federation.layout import Chosen, is_residual
from federation.modelling.config import adapter_config, is_head
from federation.modelling.loading import Base, pad_token
from federation.modelling.messages import ModellingRefused
from federation.modelling.middles import file_name, give_middles
from federation.modelling.residuals import lay_residuals, take_residuals_off
from federation.plan import Ia3, Lora, Plan
from federation.tensors import write_adapter
from federation.terms import TERMS

PROMPT = "prompt_embeddings"


@dataclass(frozen=True, slots=True)
class Adapted:
    """A base with one adapter in use; `parameters` are the adapter's by their file names."""

    model: Any
    processor: Any
    device: torch.device
    parameters: dict[str, Parameter]

    @property
    def pad(self) -> int:
        return pad_token(self.processor)

    @property
    def factors(self) -> list[Parameter]:
        """What lies in the base's layers, without the head."""
        return [p for name, p in self.parameters.items() if not is_head(name)]

    @property
    def head(self) -> list[Parameter]:
        return [p for name, p in self.parameters.items() if is_head(name)]

    def training(self, travels: Chosen) -> Adapted:
        """The same with only those weights that travel; the others stay as they are."""
        for name, parameter in self.parameters.items():
            parameter.requires_grad_(travels(name))
        chosen = {name: one for name, one in self.parameters.items() if travels(name)}
        return replace(self, parameters=chosen)


def set_gradient_checkpointing(model: Adapted, *, on: bool) -> None:
    """As the plan says, whatever an earlier one said of a base that was kept."""
    base = model.model.get_base_model()
    if base.is_activation_checkpointing:
        base.activation_checkpointing_disable()
    if not on:
        return
    if not base.supports_gradient_checkpointing:
        raise ModellingRefused(
            "gradient_checkpointing_unsupported", "the base model cannot compute activations twice"
        )
    base.activation_checkpointing_enable({"use_reentrant": False})
    base.disable_input_require_grads()  # which only the reentrant way needs


def adapted(base: Base, plan: Plan, *, rank: int, file: Path | None = None) -> Adapted:
    """Lay the plan's adapter at this rank over the base, with the file's weights if given.

    peft keeps several adapters over one base; those of other ranks and plans stay unused.
    """
    about = adapter_config(plan, base_repo=base.folder, rank=rank, layers=base.layers)
    terms = TERMS[plan.aggregation.strategy]
    key = json.dumps([about, terms.has_middle], sort_keys=True)
    name = "x" + sha256(key.encode()).hexdigest()[:16]
    config = get_peft_config({**about, "inference_mode": False})
    _use(base, name, config, has_middle=terms.has_middle)
    found = _parameters(base.peft, name)
    _refuse_untargeted(plan, found)
    values = _values(file) if file else {}
    take_residuals_off(base)
    if terms.has_residual:
        residuals = {key: values.pop(key) for key in list(values) if is_residual(key)}
        lay_residuals(base, name, residuals)
    if file:
        _fill(found, values)
    return Adapted(base.peft, base.processor, base.device, found)


def _use(base: Base, name: str, config: PeftConfig, *, has_middle: bool) -> None:
    is_new = base.peft is None or name not in base.peft.peft_config
    try:
        with warnings.catch_warnings():  # peft does not know the sizes of layers it only copies
            warnings.filterwarnings("ignore", "Unsupported layer type")
            if base.peft is None:
                base.peft = get_peft_model(base.model, config, adapter_name=name)
            elif is_new:
                base.peft.add_adapter(name, config)
    except ValueError as error:
        raise ModellingRefused("targets_missing", str(error)[:300]) from error
    if is_new and has_middle:
        give_middles(base.peft, name)
    base.peft.set_adapter(name)


def _parameters(model: Any, name: str) -> dict[str, Parameter]:
    """The adapter's own parameters, not copies of them, by the names peft gives their tensors."""
    found = get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False)
    if PROMPT in found:  # peft answers with what the prompt's encoder makes of them
        found[PROMPT] = model.prompt_encoder[name].embedding.weight
    own = {parameter.data_ptr(): parameter for parameter in model.parameters()}
    found = {file_name(key, name): value for key, value in found.items()}
    return {key: own[value.data_ptr()] for key, value in sorted(found.items())}


def _refuse_untargeted(plan: Plan, found: Mapping[str, Tensor]) -> None:
    """To peft one target found is enough; to a plan not."""
    if not isinstance(plan.adapter, Lora | Ia3):
        return
    mark = "lora_A." if isinstance(plan.adapter, Lora) else "ia3_l"
    for target in plan.adapter.targets:
        if not any(f".{target}.{mark}" in name for name in found):
            raise ModellingRefused("targets_missing", f"the base has no linear layer {target!r}")


def _values(file: Path) -> dict[str, Tensor]:
    try:
        values: dict[str, Tensor] = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModellingRefused("adapter_mismatch", f"unreadable: {error}"[:300]) from error
    return values


@torch.no_grad()
def _fill(parameters: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    if odd := sorted(parameters.keys() ^ values.keys()):
        raise ModellingRefused("adapter_mismatch", f"{odd[0]} is not in both model and file")
    for name, parameter in parameters.items():
        if parameter.shape != values[name].shape:
            raise ModellingRefused("adapter_mismatch", f"{name} has another shape in the file")
        parameter.copy_(values[name])


def keep(parameters: Mapping[str, Tensor], target: Path) -> None:
    """Write the adapter's parameters whole or not at all; equal values give equal bytes."""
    part = target.with_name(f"{target.name}.part")
    write_adapter(part, parameters.items())
    part.replace(target)
