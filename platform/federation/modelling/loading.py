"""Base models from a local folder, and adapters laid over them.

A process keeps the last base it loaded, because an agent does many rounds on one base. Whatever
training changes lies in the adapter, which every use sets anew from a file, so a kept base gives
the same bytes as a fresh one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)
from transformers.utils import logging

from federation.modelling.config import HEADS, adapter_config, label_count, task_type
from federation.modelling.messages import ModellingRefused
from federation.plan import Plan
from federation.tensors import write_adapter

_CLASSES = {
    "CAUSAL_LM": AutoModelForCausalLM,
    "SEQ_CLS": AutoModelForSequenceClassification,
    "TOKEN_CLS": AutoModelForTokenClassification,
}

_LOCAL = {"local_files_only": True, "trust_remote_code": False}

# What a base lacks is checked below; transformers would report every new head as a surprise.
logging.set_verbosity_error()
logging.disable_progress_bar()


@dataclass(slots=True)
class Base:
    """A base model on its device, with its tokenizer; `peft` wraps it after the first use."""

    folder: str
    model: nn.Module
    tokenizer: Any
    device: torch.device
    peft: Any = None


@dataclass(frozen=True, slots=True)
class Adapted:
    """A base with one adapter in use; `parameters` are the adapter's by their file names."""

    model: Any
    tokenizer: Any
    device: torch.device
    parameters: dict[str, Tensor]

    @property
    def pad(self) -> int:
        return pad_token(self.tokenizer)


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" takes the accelerator there is, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


@contextmanager
def forked_random(device: torch.device) -> Iterator[None]:
    """The caller's random state comes back untouched."""
    with torch.random.fork_rng(
        devices=[] if device.type == "cpu" else [device], device_type=device.type
    ):
        yield


def kept_base(folder: Path, plan: Plan, device: torch.device) -> Base:
    """The base for this plan's task, loaded only if the process does not hold it already."""
    wanted = _Wanted(folder.resolve(), _stamp(folder), task_type(plan), label_count(plan), device)
    return _kept(wanted)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What tells one base from another; a folder whose files changed is loaded again."""

    folder: Path
    stamp: tuple[object, ...]
    kind: str
    labels: int
    device: torch.device


@lru_cache(maxsize=1)
def _kept(wanted: _Wanted) -> Base:
    _kept.cache_clear()  # the old base goes before the new one comes: two may not fit
    return load_base(wanted.folder, wanted.kind, wanted.labels, wanted.device)


def _stamp(folder: Path) -> tuple[object, ...]:
    if not folder.is_dir():
        raise ModellingRefused("base_unreadable", "there is no such folder")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def load_base(folder: Path, kind: str, labels: int, device: torch.device) -> Base:
    """Load safetensors only; refuse a base whose weights for this task are not all there."""
    options = {"num_labels": labels, "ignore_mismatched_sizes": True} if labels else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, **_LOCAL)
        model, report = _CLASSES[kind].from_pretrained(
            folder,
            **_LOCAL,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModellingRefused("base_unreadable", str(error)[:300]) from error
    _refuse_missing(report["missing_keys"])
    model.requires_grad_(False)
    if getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = pad_token(tokenizer)
    return Base(str(folder), model=model.to(device), tokenizer=tokenizer, device=device)


def pad_token(tokenizer: Any) -> int:
    """Padding is masked wherever it counts, so any token will do where there is none for it."""
    chosen = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return next(token for token in chosen if token is not None)


def _refuse_missing(missing: set[str]) -> None:
    """Only the head may be new: anything else would start at random and travel in no adapter."""
    lost = sorted(name for name in missing if not set(HEADS).intersection(name.split(".")))
    if lost:
        raise ModellingRefused(
            "base_incomplete",
            f"the base model has no weights for {', '.join(lost[:3])}, which no adapter carries",
        )


def adapted(base: Base, plan: Plan, *, rank: int, file: Path | None = None) -> Adapted:
    """Lay the plan's adapter at this rank over the base, with the file's weights if given.

    peft keeps several adapters over one base; those of other ranks and plans stay unused.
    """
    config = adapter_config(plan, base_repo=base.folder, rank=rank)
    name = "x" + sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()[:16]
    _use(base, name, LoraConfig(**{**config, "inference_mode": False}))
    found = get_peft_model_state_dict(base.peft, adapter_name=name, save_embedding_layers=False)
    _refuse_untargeted(plan, found)
    if file is not None:
        _fill(found, file)
    return Adapted(base.peft, base.tokenizer, base.device, dict(sorted(found.items())))


def _use(base: Base, name: str, config: LoraConfig) -> None:
    try:
        if base.peft is None:
            base.peft = get_peft_model(base.model, config, adapter_name=name)
        elif name not in base.peft.peft_config:
            base.peft.add_adapter(name, config)
    except ValueError as error:
        raise ModellingRefused("targets_missing", str(error)[:300]) from error
    base.peft.set_adapter(name)


def _refuse_untargeted(plan: Plan, found: Mapping[str, Tensor]) -> None:
    """To peft one target found is enough; to a plan not."""
    for target in plan.adapter.targets:
        if not any(f".{target}.lora_A." in name for name in found):
            raise ModellingRefused("targets_missing", f"the base has no linear layer {target!r}")


def _fill(parameters: Mapping[str, Tensor], file: Path) -> None:
    try:
        values = load_file(file)
    except (OSError, SafetensorError) as error:
        raise ModellingRefused("adapter_mismatch", f"unreadable: {error}"[:300]) from error
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
