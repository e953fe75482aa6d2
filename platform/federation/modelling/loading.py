"""Base models from a local folder, and adapters laid over them.

A process keeps the last base it loaded, because an agent does many rounds on one base. Whatever
training changes lies in the adapter, which every use sets anew from a file, so a kept base gives
the same bytes as a fresh one.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
    AutoTokenizer,
)

from federation.modelling.config import HEADS, adapter_config
from federation.modelling.messages import ModellingRefused
from federation.plan import Plan, SequenceClassification

_CLASSES = {
    "CAUSAL_LM": AutoModelForCausalLM,
    "SEQ_CLS": AutoModelForSequenceClassification,
    "TOKEN_CLS": AutoModelForTokenClassification,
}


@dataclass(slots=True)
class Base:
    """A base model on its device, with its tokenizer; `peft` wraps it after the first use."""

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


def choose_device(name: str) -> torch.device:
    """ "auto" takes the accelerator there is, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def kept_base(folder: Path, plan: Plan, device: torch.device) -> Base:
    """The base for this plan's task, loaded only if the process does not hold it already."""
    labels = len(plan.task.labels) if isinstance(plan.task, SequenceClassification) else 0
    kind = str(adapter_config(plan, base_repo="")["task_type"])
    return _kept(folder.resolve(), _stamp(folder), kind, labels, device)


@lru_cache(maxsize=1)
def _kept(
    folder: Path, stamp: tuple[object, ...], kind: str, labels: int, device: torch.device
) -> Base:
    """`stamp` is part of the key only: a folder whose files changed is loaded again."""
    return load_base(folder, kind, labels, device)


def _stamp(folder: Path) -> tuple[object, ...]:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def load_base(folder: Path, kind: str, labels: int, device: torch.device) -> Base:
    """Load safetensors only; refuse a base whose weights for this task are not all there."""
    options = {"num_labels": labels, "ignore_mismatched_sizes": True} if labels else {}
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model, report = _CLASSES[kind].from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            dtype=torch.float32,
            output_loading_info=True,
            **options,
        )
    except (OSError, ValueError, KeyError) as error:
        raise ModellingRefused("base_unreadable", str(error)[:300]) from error
    _refuse_missing(report["missing_keys"])
    model.requires_grad_(False)
    if model.config.pad_token_id is None:
        model.config.pad_token_id = pad_token(tokenizer)
    return Base(model=model.to(device), tokenizer=tokenizer, device=device)


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
    """Lay the plan's adapter at this rank over the base, with the file's weights if given."""
    name = _in_use(base, plan, rank)
    parameters = get_peft_model_state_dict(base.peft, adapter_name=name)
    ...


