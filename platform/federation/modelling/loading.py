"""Base models from a local folder.

A process keeps the last base it loaded, because an agent does many rounds on one base. Whatever
training changes lies in the adapter, which every use sets anew from a file, so a kept base gives
the same bytes as a fresh one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers.utils import logging

from federation.modelling.config import HEADS, label_count
from federation.modelling.messages import ModellingRefused
from federation.plan import Plan

_LOCAL = {"local_files_only": True, "trust_remote_code": False}

# What a base lacks is checked below; transformers would report every new head as a surprise.
logging.set_verbosity_error()
logging.disable_progress_bar()


@dataclass(slots=True)
class Base:
    """A base model on its device, with what prepares its inputs; `peft` wraps it in its first use.

    `layers` are its modules that hold parameters and no modules, by their names.
    """

    folder: str
    model: nn.Module
    processor: Any  # a tokenizer or an image processor
    device: torch.device
    layers: tuple[str, ...]
    peft: Any = None
    beside: list[Any] = field(default_factory=list)  # hooks that add residuals to its layers


def choose_device(name: str) -> torch.device:
    """The device of this name; "auto" takes the accelerator there is, else the CPU."""
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def device_for(plan: Plan, name: str) -> torch.device:
    """The device of this name. Raises `ModellingRefused` if it lacks the plan's precision."""
    device, precision = choose_device(name), plan.training.precision
    is_cuda = device.type == "cuda"
    lacks_bf16 = precision == "bf16" and is_cuda and not torch.cuda.is_bf16_supported()
    if lacks_bf16 or (precision == "fp16" and not is_cuda):
        raise ModellingRefused(
            "precision_unsupported", f"this site's device ({device.type}) has no {precision}"
        )
    return device


@contextmanager
def forked_random(device: torch.device) -> Iterator[None]:
    """The caller's random state comes back untouched."""
    with torch.random.fork_rng(
        devices=[] if device.type == "cpu" else [device], device_type=device.type
    ):
        yield


def kept_base(folder: Path, plan: Plan, device: torch.device) -> Base:
    """The base for this plan's task, loaded only if the process does not hold it already."""
    needs = replace(needs_of(plan), is_quantised=plan.training.base_weights == "nf4")
    return _kept(_Wanted(folder.resolve(), _stamp(folder), needs, device))


@dataclass(frozen=True, slots=True)
class Needs:
    """What a plan asks of its base. peft lays adapters of one type only over a model."""

    model: str  # these two: classes of transformers
    processor: str
    labels: int
    adapter: str
    is_quantised: bool = False


def needs_of(plan: Plan) -> Needs:
    """In full precision. Raises `ModellingRefused` where this place lacks what the plan needs."""
    task = plan.task
    if task.processor == "AutoImageProcessor":
        _require_pillow()
    return Needs(task.model_class, task.processor, label_count(plan), plan.adapter.type)


def _require_pillow() -> None:
    """Images are rare among our tasks, so what opens them is not among our requirements."""
    if find_spec("PIL") is None:
        raise ModellingRefused(
            "images_unsupported", "images need Pillow on the agent: pip install pillow"
        )


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What tells one base from another; a folder whose files changed is loaded again."""

    folder: Path
    stamp: tuple[object, ...]
    needs: Needs
    device: torch.device


@lru_cache(maxsize=1)
def _kept(wanted: _Wanted) -> Base:
    _kept.cache_clear()  # the old base goes before the new one comes: two may not fit
    return load_base(wanted.folder, wanted.needs, wanted.device)


def _stamp(folder: Path) -> tuple[object, ...]:
    if not folder.is_dir():
        raise ModellingRefused("base_unreadable", "there is no such folder")
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return tuple((path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files)


def load_base(folder: Path, needs: Needs, device: torch.device) -> Base:
    """Load safetensors only; refuse a base whose weights for this task are not all there."""
    options: dict[str, Any] = _quantised(device) if needs.is_quantised else {}
    if needs.labels:
        options |= {"num_labels": needs.labels, "ignore_mismatched_sizes": True}
    try:
        processor = getattr(transformers, needs.processor).from_pretrained(folder, **_LOCAL)
        model, report = getattr(transformers, needs.model).from_pretrained(
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
    if needs.processor == "AutoTokenizer" and getattr(model.config, "pad_token_id", None) is None:
        model.config.pad_token_id = pad_token(processor)
    placed = model if needs.is_quantised else model.to(device)
    return Base(str(folder), placed, processor, device, _layers(model))


def _quantised(device: torch.device) -> dict[str, Any]:
    """QLoRA's way to hold a base (Dettmers et al. 2023, arXiv:2305.14314)."""
    if device.type != "cuda" or find_spec("bitsandbytes") is None:
        raise ModellingRefused(
            "quantisation_unsupported",
            "a base in 4 bits needs an NVIDIA card and bitsandbytes: pip install bitsandbytes",
        )
    config = transformers.BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )
    return {"quantization_config": config, "device_map": {"": device}}


def _layers(model: nn.Module) -> tuple[str, ...]:
    """Every innermost module with parameters but those of the head, tied ones included."""
    owners = {name.rpartition(".")[0] for name, _ in model.named_parameters(remove_duplicate=False)}
    inner = (name for name in owners if not list(model.get_submodule(name).children()))
    return tuple(sorted(name for name in inner if not set(HEADS).intersection(name.split("."))))


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
