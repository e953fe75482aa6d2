"""The device that this agent trains on, as the worker found it and as the hub is told."""

from __future__ import annotations

import json

import psutil

from agent.files import write_whole
from agent.home import Home

GIBIBYTE = 1 << 30


def note_device(home: Home, name: str) -> None:
    """Write down what the worker will train on; to be called where torch is loaded anyway."""
    from federation.modelling.loading import choose_device

    device = choose_device(name)
    text = device.type
    if device.type == "cuda":
        import torch

        facts = torch.cuda.get_device_properties(device)
        text = f"{facts.name}, {facts.total_memory / GIBIBYTE:.0f} GiB"
    write_whole(home.device_file, json.dumps({"device": text}))


def described(home: Home) -> str:
    """One line for the hub: device, processor cores, memory."""
    try:
        device = str(json.loads(home.device_file.read_text())["device"])
    except FileNotFoundError:
        device = "starting"
    memory = psutil.virtual_memory().total / GIBIBYTE
    return f"{device}, {psutil.cpu_count()} cores, {memory:.0f} GiB"[:120]
