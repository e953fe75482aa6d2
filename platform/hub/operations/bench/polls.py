"""How many signed polls a second the hub answers, and how soon."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import quantiles

from hub.operations.bench.place import Place
from hub.operations.bench.wire import Wire

SECONDS = 5.0
CONNECTIONS = 8


@dataclass(frozen=True, slots=True)
class Polls:
    connections: int
    per_second: float
    median_milliseconds: float
    p99_milliseconds: float


def measure(place: Place) -> Polls:
    """Have several connections ask for work as fast as they are answered; there is none."""
    took = asyncio.run(_poll(place))
    cuts = quantiles(took, n=100)
    return Polls(CONNECTIONS, len(took) / SECONDS, 1000 * cuts[49], 1000 * cuts[98])


async def _poll(place: Place) -> list[float]:
    wires = [Wire(agent.url, key=agent.key) for agent in place.agents]
    wires = (wires * CONNECTIONS)[:CONNECTIONS]
    wires = [Wire(wire.url, key=wire.key) for wire in wires]
    until = time.monotonic() + SECONDS
    took = await asyncio.gather(*(_ask(wire, until) for wire in wires))
    return [seconds for of_one in took for seconds in of_one]


async def _ask(wire: Wire, until: float) -> list[float]:
    took, asked = [], {"agent_version": "bench", "federations": ["nothing"]}
    while time.monotonic() < until:
        began = time.perf_counter()
        await wire.post("/api/v1/agent/leases?wait=0", asked, expect=204)
        took.append(time.perf_counter() - began)
    wire.close()
    return took
