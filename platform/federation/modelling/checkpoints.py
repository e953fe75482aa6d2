"""How far a round of training is, on disk: whoever goes on from there ends with the same bytes.

One safetensors file holds the adapter, the optimiser's moments and the random generators; its
metadata says in JSON which training it belongs to and how many steps are behind it. The file is
replaced as a whole, so a power cut leaves the one before.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from federation.modelling.messages import Checkpointing, Examples
from federation.modelling.progress import Progress
from federation.plan import Plan, canonical
from federation.tensors import sha256_of

_VERSION = 1
_KEY = "checkpoint"
_PARAMETER, _MOMENT, _RANDOM = "parameter.", "optimizer.", "random."


@dataclass(frozen=True, slots=True)
class Position:
    """What is behind a training: optimiser steps, what they saw, seconds of the device."""

    steps: int
    seen: Mapping[str, float]
    seconds: float
    scale: Mapping[str, float]  # of the losses, where fp16 needs one


@dataclass(slots=True)
class Trainee:
    """Everything in a process that a step of training changes."""

    parameters: Mapping[str, Tensor]
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    progress: Progress
    device: torch.device


@dataclass(slots=True)
class Checkpoints:
    """The checkpoint of one training; `identity` tells it from every other."""

    how: Checkpointing
    identity: str
    _saved_at: float = field(default_factory=time.monotonic)

    def restore(self, trainee: Trainee) -> Position | None:
        """Put the trainee where the last life left off.

        None where there is no checkpoint, where it cannot be read, or where it is another
        training's: then the trainee is untouched.
        """
        try:
            with safe_open(self.how.file, framework="pt") as file:
                position = _position(file.metadata(), self.identity)
                if position is None:
                    return None
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (FileNotFoundError, SafetensorError):
            return None
        _restore(trainee, tensors, position)
        return position

    def offer(self, trainee: Trainee, *, steps: int, seconds: float) -> None:
        """Write the present state down if the last time is long enough ago."""
        if time.monotonic() - self._saved_at < self.how.every_seconds:
            return
        scale = trainee.scaler.state_dict()
        position = Position(steps, trainee.progress.seen(), seconds, scale)
        about = {"version": _VERSION, "identity": self.identity, **asdict(position)}
        _write(self.how.file, _tensors(trainee), {_KEY: json.dumps(about)})
        self._saved_at = time.monotonic()
        self.how.on_saved()


def identity_of(
    *, plan: Plan, seed: int, rank: int, start: Path, examples: Examples, device: torch.device
) -> str:
    """What has to be the same for a checkpoint to count, as one digest."""
    facts = {
        "plan": plan.digest(),
        "seed": str(seed),
        "rank": rank,
        "start": sha256_of(start),
        "examples": examples.fingerprint(),
        "device": device.type,
        "torch": torch.__version__,
    }
    return hashlib.sha256(canonical(facts)).hexdigest()


def _position(metadata: Mapping[str, str] | None, identity: str) -> Position | None:
    try:
        about = json.loads((metadata or {})[_KEY])
        if about["version"] != _VERSION or about["identity"] != identity:
            return None
        return Position(**{part.name: about[part.name] for part in fields(Position)})
    except (KeyError, TypeError, ValueError):
        return None


def _tensors(trainee: Trainee) -> dict[str, Tensor]:
    found = {f"{_PARAMETER}{name}": value for name, value in trainee.parameters.items()}
    for number, state in trainee.optimizer.state_dict()["state"].items():
        found |= {f"{_MOMENT}{number}.{name}": value for name, value in state.items()}
    found[f"{_RANDOM}cpu"] = torch.get_rng_state()
    if trainee.device.type != "cpu":
        module = torch.get_device_module(trainee.device)
        found[f"{_RANDOM}device"] = module.get_rng_state()
    return {name: value.detach().cpu().contiguous() for name, value in found.items()}


@torch.no_grad()
def _restore(trainee: Trainee, tensors: Mapping[str, Tensor], position: Position) -> None:
    for name, parameter in trainee.parameters.items():
        parameter.copy_(tensors[f"{_PARAMETER}{name}"])
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_MOMENT):
            _, number, moment = name.split(".")
            state.setdefault(int(number), {})[moment] = value
    groups = trainee.optimizer.state_dict()["param_groups"]
    trainee.optimizer.load_state_dict({"state": state, "param_groups": groups})
    trainee.scaler.load_state_dict(dict(position.scale))
    trainee.progress.go_on_from(position.seen)
    torch.set_rng_state(tensors[f"{_RANDOM}cpu"])
    if trainee.device.type != "cpu":
        torch.get_device_module(trainee.device).set_rng_state(tensors[f"{_RANDOM}device"])


def _write(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Temporary name, fsync, rename, fsync of the folder."""
    part = path.with_name(f".{path.name}.part")
    save_file(tensors, part, metadata)
    _sync(part)
    part.replace(path)
    _sync(path.parent)


def _sync(path: Path) -> None:
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
