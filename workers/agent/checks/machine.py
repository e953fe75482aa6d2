"""What the machine has: disk, memory, devices, and whether the base models fit."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import psutil

from agent.artifacts import Fetcher
from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.client import HubClient
from agent.devices import probed
from agent.errors import Away, Refused
from agent.running import environment
from federation.protocol import BaseModelRef, DownloadTokenIn, Place

GIBIBYTE = 1 << 30
ROOM = 1 * GIBIBYTE  # for adapters, checkpoints and updates on their way
WORKING_MEMORY = GIBIBYTE // 2  # the libraries, beside the model
NVIDIA = Path("/proc/driver/nvidia/version")
INSTALL = "pip install -r docker/requirements-agent.txt"
ASK_SECONDS = 5.0


@checks.register("disk")
def disk(site: Site) -> Iterator[Finding]:
    """Room for the base models that are still to come, and for checkpoints."""
    free = shutil.disk_usage(site.home.folder).free
    needed = ROOM + sum(place.base_bytes for place in _missing(site))
    told = f"{_size(free)} are free, {_size(needed)} are needed"
    do = "Make room, or move the agent's folder (FOEDUS_AGENT_HOME) to a larger disk."
    if free < needed:
        yield problem(f"{told}.", do)
    elif free < 2 * needed:
        yield warning(f"{told}: that is tight.", do)
    else:
        yield ok(f"{told}.")


@checks.register("memory")
def memory(site: Site) -> Iterator[Finding]:
    """Enough for the largest base model."""
    found = psutil.virtual_memory()
    needed = WORKING_MEMORY + max((place.base_bytes for place in _places(site)), default=0)
    told = f"{_size(found.available)} of {_size(found.total)} are free, {_size(needed)} are needed"
    if found.total < needed:
        yield problem(f"{told}.", "This machine is too small for the base model: take another.")
    elif found.available < needed:
        yield warning(f"{told}.", "End other programs before a task comes.")
    else:
        yield ok(f"{told}.")


@checks.register("devices")
def devices(site: Site) -> Iterator[Finding]:
    """What torch can train on; asked in a process of its own, which torch may fill or end."""
    found = probed(environment(site.home))
    if missing := found["missing"]:
        yield problem(f"{', '.join(missing)} cannot be imported.", INSTALL)
    if "torch" in missing:
        return
    for device in found["devices"]:
        yield _device(device)
    if not found["devices"]:
        yield _without_accelerator(found)


def _device(device: Mapping[str, Any]) -> Finding:
    told = f"{device['device']}: {device['name']}"
    if memory := device["memory"]:
        told += f", {_size(device['free'])} of {_size(memory)} free"
    if not device["works"]:
        do = "Install the torch that fits its driver: https://pytorch.org/get-started/locally"
        return problem(f"{told}; torch cannot compute on it.", do)
    can = [name for name in ("bf16", "4-bit") if device[name]]
    return ok(f"{told}{', ' if can else ''}{', '.join(can)}.")


def _without_accelerator(found: Mapping[str, Any]) -> Finding:
    cores = psutil.cpu_count()
    if NVIDIA.exists() and not found["cuda"]:
        return warning(
            f"There is an NVIDIA driver, but torch {found['torch']} is built without CUDA.",
            "Install torch with CUDA to train on the device.",
        )
    return ok(f"No accelerator: torch {found['torch']} trains on the processor, {cores} cores.")


@checks.register("base models")
def bases(site: Site) -> Iterator[Finding]:
    """Those of the federations we have data for are here, or can be fetched."""
    missing = _missing(site)
    for place in _places(site):
        if place not in missing:
            yield ok(f"{place.base.repo} is here ({place.federation}).")
    for place in missing:
        yield _fetchable(site, place)


def _fetchable(site: Site, place: Place) -> Finding:
    told = f"{place.base.repo} ({place.federation}, {_size(place.base_bytes)})"
    try:
        asyncio.run(_asked(site, place.base))
    except Refused as refusal:
        return problem(f"{told}: the hub refuses it ({refusal.code}).", "Ask the federation.")
    except Away as away:
        return warning(f"{told} is not here, and cannot be asked for: {away}.", "Try again.")
    return ok(f"{told} will be fetched with the first task.")


async def _asked(site: Site, base: BaseModelRef) -> None:
    async with HubClient(site.identity.hub, site.home.private_key()) as hub:
        message = DownloadTokenIn(repo=base.repo)
        await hub.post("/api/v1/agent/download-tokens", message, patience=ASK_SECONDS)


def _missing(site: Site) -> list[Place]:
    fetcher = Fetcher(site.home, lambda: None)
    return [place for place in _places(site) if not fetcher.present(place.base)]


def _places(site: Site) -> list[Place]:
    """None where the hub cannot be asked: that is another check's to tell."""
    try:
        return site.places()
    except (Refused, Away, ValueError):
        return []


def _size(count: int) -> str:
    return f"{count / GIBIBYTE:.1f} GiB"
