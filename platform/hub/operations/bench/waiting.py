"""A thousand agents that wait: what they cost while nothing happens, and how soon all have work."""

from __future__ import annotations

import asyncio
import resource
import time
from dataclasses import dataclass
from statistics import quantiles

from hub.operations.bench.machine import Meter
from hub.operations.bench.place import MIB, Place
from hub.operations.bench.wire import Wire

WAIT_SECONDS = 25  # of a long poll, as agents have it
IDLE_SECONDS = 30.0  # measured: each agent has asked anew within it
ARRIVING = 16  # agents that come at the same time; the others come after them
FILES_EACH = 2


@dataclass(frozen=True, slots=True)
class Waiting:
    agents: int
    web_rss_growth: float  # MB, from none of them to all of them waiting
    idle_cores: float  # CPU seconds of the web process a second, while nothing happens
    median_seconds: float  # from the run's start to an agent that has its task
    all_seconds: float  # to the last of them


def allow_connections(agents: int) -> None:
    """Let this process, and those that it starts, hold so many connections open."""
    wanted = FILES_EACH * agents + 1024
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))


def measure(place: Place, meter: Meter) -> Waiting:
    """Have all agents wait for a while, then start a run that has a task for each of them."""
    before = meter.rss_by_process()["web"]
    with meter.measuring() as usage:
        idle, leased = asyncio.run(_wait(place, meter))
    cuts = quantiles(leased, n=2)
    return Waiting(
        agents=len(place.agents),
        web_rss_growth=(usage.web_rss_bytes - before) / MIB,
        idle_cores=idle,
        median_seconds=cuts[0],
        all_seconds=max(leased),
    )


async def _wait(place: Place, meter: Meter) -> tuple[float, list[float]]:
    arriving = asyncio.Semaphore(ARRIVING)
    arrived = [asyncio.Event() for _ in place.agents]
    agents = [
        asyncio.create_task(_until_leased(wire, place.federation.slug, arriving, here))
        for wire, here in zip(place.agents, arrived, strict=True)
    ]
    await asyncio.gather(*(here.wait() for here in arrived))
    began, cpu = time.monotonic(), meter.cpu()["web"]
    await asyncio.sleep(IDLE_SECONDS)
    idle = (meter.cpu()["web"] - cpu) / (time.monotonic() - began)
    started = time.monotonic()
    await asyncio.to_thread(place.start_run, rounds=1, strategy="fedavg")
    leased = await asyncio.gather(*agents)
    return idle, [at - started for at in leased]


async def _until_leased(
    wire: Wire, federation: str, arriving: asyncio.Semaphore, here: asyncio.Event
) -> float:
    """Ask, and ask again, until there is work; returns when that was."""
    asked = {"agent_version": "bench", "federations": [federation]}
    async with arriving:
        await wire.post("/api/v1/agent/leases?wait=0", asked, expect=204)
    here.set()
    path, status = f"/api/v1/agent/leases?wait={WAIT_SECONDS}", 204
    while status == 204:  # noqa: PLR2004 (nothing to do yet)
        status = (await wire.post(path, asked)).status
    wire.close()
    return time.monotonic()
