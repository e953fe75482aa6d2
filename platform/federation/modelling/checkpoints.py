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
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.optim import Optimizer

from federation.modelling.messages import Checkpointing, Examples, Seat
from federation.modelling.progress import Progress
from federation.modelling.teams import Alone, Team, parted, whole
from federation.plan import Plan, canonical
from federation.tensors import sha256_of

_VERSION = 2
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
    """The checkpoint of one training; `identity` tells it from every other.

    Of a team each process reads it, and the first one writes.
    """

    how: Checkpointing
    identity: str
    team: Team = field(default_factory=Alone)
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
        self._restore(trainee, tensors, position)
        return position

    def offer(self, trainee: Trainee, *, steps: int, seconds: float) -> None:
        """Write the present state down if the last time is long enough ago."""
        is_first = self.team.index == 0
        is_due = time.monotonic() - self._saved_at >= self.how.every_seconds
        if not self.team.agree(mine=is_first and is_due):
            return
        scale = trainee.scaler.state_dict()
        position = Position(steps, trainee.progress.seen(), self.team.sum(seconds), scale)
        about = {"version": _VERSION, "identity": self.identity, **asdict(position)}
        tensors = self._tensors(trainee)
        if is_first:
            _write(self.how.file, tensors, {_KEY: json.dumps(about)})
            self.how.on_saved()
        self._saved_at = time.monotonic()

    def _tensors(self, trainee: Trainee) -> dict[str, Tensor]:
        found = {f"{_PARAMETER}{name}": whole(one) for name, one in trainee.parameters.items()}
        for number, state in trainee.optimizer.state_dict()["state"].items():
            found |= {f"{_MOMENT}{number}.{name}": whole(one) for name, one in state.items()}
        for name, generator in _generators(trainee.device).items():
            states = self.team.gathered(generator.get_rng_state())
            found |= {f"{_RANDOM}{name}.{index}": state for index, state in enumerate(states)}
        return {name: value.detach().cpu().contiguous() for name, value in found.items()}

    @torch.no_grad()
    def _restore(self, trainee: Trainee, tensors: Mapping[str, Tensor], position: Position) -> None:
        for name, parameter in trainee.parameters.items():
            parameter.copy_(parted(tensors[f"{_PARAMETER}{name}"], parameter))
        groups = trainee.optimizer.state_dict()["param_groups"]
        state = _moments(trainee.optimizer, tensors)
        trainee.optimizer.load_state_dict({"state": state, "param_groups": groups})
        trainee.scaler.load_state_dict(dict(position.scale))
        trainee.progress.go_on_from(position.seen)
        for name, generator in _generators(trainee.device).items():
            generator.set_rng_state(tensors[f"{_RANDOM}{name}.{self.team.index}"])


def identity_of(
    *,
    plan: Plan,
    seed: int,
    rank: int,
    start: Path,
    examples: Examples,
    device: torch.device,
    seat: Seat | None = None,
    correction: Path | None = None,
) -> str:
    """What has to be the same for a checkpoint to count, as one digest."""
    facts = {
        "plan": plan.digest(),
        "seed": str(seed),
        "rank": rank,
        "start": sha256_of(start),
        "examples": examples.fingerprint(),
        "device": device.type,
        "team": [seat.size, seat.is_sharded] if seat else [1, False],
        "torch": torch.__version__,
        "correction": sha256_of(correction) if correction else None,
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


def _moments(optimizer: Optimizer, tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Tensor]]:
    """The optimiser's state by the numbers of its parameters."""
    parameters = [one for group in optimizer.param_groups for one in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        if name.startswith(_MOMENT):
            _, number, moment = name.split(".")
            found = parted(value, parameters[int(number)])
            state.setdefault(int(number), {})[moment] = found
    return state


def _generators(device: torch.device) -> dict[str, Any]:
    """Where random numbers come from: torch, and the module of the device."""
    if device.type == "cpu":
        return {"cpu": torch}
    return {"cpu": torch, "device": torch.get_device_module(device)}


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
