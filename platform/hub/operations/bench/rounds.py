"""Rounds without training: K agents fetch S MB, send S MB back, and the hub aggregates."""

from __future__ import annotations

import asyncio
import hashlib
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from statistics import median
from time import sleep
from typing import Any

from federation.keys import sign_bytes
from federation.plan import canonical
from federation.protocol import UpdateStatement
from hub.catalogue.blobs.storage import store
from hub.common.models import Event
from hub.operations.bench.machine import Meter
from hub.operations.bench.place import MIB, Place
from hub.operations.bench.wire import Surprise, Wire
from hub.runs.models import Run, RunState, Task

LOOK_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table; times in seconds, memory in MB."""

    agents: int
    megabytes: int
    strategy: str
    rounds: int
    round_seconds: float  # the median
    slowest_round: float
    cpu_seconds: float  # of the hub's processes, for one round
    cpu: dict[str, float]
    rss_over_idle: float
    lease_milliseconds: float  # from the task's row to the agent that waits, the median


def measure(place: Place, meter: Meter, *, rounds: int, strategy: str, idle_bytes: int) -> Row:
    """Play a run and say what a round of it cost; a first round is not counted."""
    play(place, rounds=1, strategy=strategy)
    with meter.measuring() as usage:
        run, delays = play(place, rounds=rounds, strategy=strategy)
    lasted = list(durations(run))
    return Row(
        agents=len(place.agents),
        megabytes=round(place.size_bytes / MIB),
        strategy=strategy,
        rounds=rounds,
        round_seconds=median(lasted),
        slowest_round=max(lasted),
        cpu_seconds=usage.cpu_seconds / rounds,
        cpu={name: seconds / rounds for name, seconds in usage.cpu.items()},
        rss_over_idle=(usage.rss_bytes - idle_bytes) / MIB,
        lease_milliseconds=1000 * median(delays),
    )


def play(place: Place, *, rounds: int, strategy: str) -> tuple[Run, list[float]]:
    """Have the agents play a run to its end; returns it with the delay of each lease."""
    start = store().local_path(place.version.adapter_id).read_bytes()
    found = asyncio.run(_play(place, bytearray(start), rounds, strategy))
    run = Run.objects.get(pk=found[0])
    while run.state == RunState.RUNNING:
        sleep(LOOK_SECONDS)
        run.refresh_from_db()
    if run.state != RunState.COMPLETED:
        raise Surprise(f"the run is {run.state}: {run.failure_code}")
    return run, delays_of(run, found[1])


async def _play(
    place: Place, start: bytearray, rounds: int, strategy: str
) -> tuple[Any, list[tuple[str, datetime]]]:
    waiting = [
        asyncio.create_task(Site(wire, place.federation.slug, number, start).work(rounds))
        for number, wire in enumerate(place.agents)
    ]
    await asyncio.sleep(0.5)  # until all of them wait
    run = await asyncio.to_thread(place.start_run, rounds=rounds, strategy=strategy)
    leases = await asyncio.gather(*waiting)
    for wire in place.agents:
        wire.close()
    return run.pk, [lease for of_one in leases for lease in of_one]


def durations(run: Run) -> Iterator[float]:
    """Seconds from the opening to the closing of each round."""
    for one in run.rounds.order_by("number"):
        events = Event.objects.filter(subject_id=one.pk)
        opened = events.get(kind="round.collecting").at
        yield (events.get(kind="round.closed").at - opened).total_seconds()


def delays_of(run: Run, leases: list[tuple[str, datetime]]) -> list[float]:
    made = dict(Task.objects.filter(round__run=run).values_list("pk", "created_at"))
    offered = {str(pk): at for pk, at in made.items()}
    return [(at - offered[task]).total_seconds() for task, at in leases]


class Site:
    """An agent that does not train: what it sends back is the start with one number changed.

    Each agent changes another number: alike in all, they would be held as copies of each other.
    """

    def __init__(self, wire: Wire, federation: str, number: int, start: bytearray) -> None:
        self.wire = wire
        self.federation = federation
        self.number = number
        self.content = bytearray(start)

    async def work(self, rounds: int) -> list[tuple[str, datetime]]:
        """Do so many tasks; returns when each was leased."""
        leases: list[tuple[str, datetime]] = []
        while len(leases) < rounds:
            asked = {"agent_version": "bench", "federations": [self.federation]}
            answer = await self.wire.post("/api/v1/agent/leases?wait=25", asked)
            if answer.status == 200:  # noqa: PLR2004 (OK; 204 means nothing to do)
                leases.append((answer.json()["id"], datetime.now(UTC)))
                await self._do(answer.json())
        return leases

    async def _do(self, offer: dict[str, Any]) -> None:
        task, fence = f"/api/v1/agent/tasks/{offer['id']}", offer["fence"]
        started = offer["spec"]["start"]["sha256"]
        if await self.wire.download(f"/api/v1/blobs/{started}") != started:
            raise Surprise("other bytes came than were asked for")
        sha256 = self._train()
        said = {"fence": fence, "sha256": sha256, "size_bytes": len(self.content)}
        session = (await self.wire.post(f"{task}/uploads", said, expect=201)).json()
        if not session["complete"]:
            path = f"/api/v1/agent/uploads/{session['id']}"
            await self.wire.upload(path, memoryview(self.content), session["chunk_bytes"])
        await self.wire.post(f"{task}/updates", self._update(offer, sha256), expect=201)

    def _train(self) -> str:
        place = len(self.content) - 4 * (self.number + 1)
        self.content[place : place + 4] = struct.pack(
            "<f", 2 + hash(datetime.now(UTC)) % 10**6 / 1e6
        )
        return hashlib.sha256(self.content).hexdigest()

    def _update(self, offer: dict[str, Any], sha256: str) -> dict[str, Any]:
        assert self.wire.key
        statement = UpdateStatement(
            federation=offer["federation"],
            run=offer["run"],
            round=offer["round"],
            task=offer["id"],
            participation_rank=offer["spec"]["rank"],
            plan_digest=offer["spec"]["plan_digest"],
            start_sha256=offer["spec"]["start"]["sha256"],
            update_sha256=sha256,
            size_bytes=len(self.content),
            examples=100,
            tokens=1000,
            steps=10,
            device_seconds=0.0,
            metrics={},
            key_id=self.wire.key_id,
            made_at=datetime.now(UTC),
        ).model_dump(mode="json")
        signature = sign_bytes(self.wire.key, "fl-update-v1", canonical(statement))
        return {"fence": offer["fence"], "statement": statement, "signature": signature}
