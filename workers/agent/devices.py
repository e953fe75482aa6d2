"""The devices that this agent trains on: as they are chosen, found, and told to the hub."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import psutil

from agent.arrangement import JOIN, members
from agent.errors import AgentFault
from agent.home import Home
from agent.roster import Post, manned

GIBIBYTE = 1 << 30
PROBE_SECONDS = 120
EVERY, TOGETHER = "all", "together"
NAME = re.compile(r"auto|mps|cuda|cpu(\+cpu)*|cuda:\d{1,2}(\+cuda:\d{1,2})*")  # + joins them
CHOICES = "auto, cpu, mps, cuda, cuda:0,cuda:1, cuda:0+cuda:1, all or together"


def chosen(text: str, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The devices that a command line names, each for a worker of its own. Raises AgentFault."""
    if text in {EVERY, TOGETHER}:
        found = _accelerators(environment) or ("cpu",)
        return found if text == EVERY else (JOIN.join(found),)
    names = tuple(text.split(","))
    if _is_repeated(names) or not all(NAME.fullmatch(name) for name in names):
        raise AgentFault(f"{text!r} names no devices: it takes {CHOICES}.")
    return names


def _is_repeated(names: tuple[str, ...]) -> bool:
    """Whether two workers would share a card; a processor may be in a group several times."""
    cards = [card for name in names for card in members(name) if card != "cpu"]
    return len(set(names)) < len(names) or len(set(cards)) < len(cards)


def _accelerators(environment: Mapping[str, str]) -> tuple[str, ...]:
    """ROCm goes by the name of CUDA in torch."""
    found = [str(device["device"]) for device in probed(environment)["devices"]]
    return tuple(name.replace("rocm", "cuda") for name in found)


def probed(environment: Mapping[str, str]) -> Mapping[str, Any]:
    """What `agent.probe` prints; in a process of its own, which torch may fill or end."""
    done = subprocess.run(
        [sys.executable, "-m", "agent.probe"],
        env={**os.environ, **environment},
        capture_output=True,
        check=True,
        timeout=PROBE_SECONDS,
    )
    return dict(json.loads(done.stdout))


def note_device(home: Home, name: str, worker: str) -> None:
    """Write down what a worker trains on; it touches the device."""
    Post.of(home, worker).describe(_counted(_described(part) for part in members(name)))


def _described(name: str) -> str:
    from federation.modelling.loading import choose_device

    device = choose_device(name)
    if device.type != "cuda":
        return device.type
    import torch

    facts = torch.cuda.get_device_properties(device)
    return f"{facts.name}, {facts.total_memory / GIBIBYTE:.0f} GiB"


def described(home: Home) -> str:
    """One line for the hub: devices, processor cores, memory."""
    devices = _counted(post.device for post in manned(home) if post.device)
    memory = psutil.virtual_memory().total / GIBIBYTE
    rest = f", {psutil.cpu_count()} cores, {memory:.0f} GiB"
    return f"{devices[: 120 - len(rest)] or 'starting'}{rest}"


def _counted(names: Iterable[str]) -> str:
    """Equal ones once, with how many they are."""
    found = Counter(names)
    return "; ".join(f"{count} × {name}" if count > 1 else name for name, count in found.items())
