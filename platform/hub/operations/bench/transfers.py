"""Upload and download through the hub, beside a bare server that does the same work."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hub.embedded.ports import LOOPBACK, listen, port_of
from hub.embedded.supervisor import Supervisor
from hub.operations.bench.machine import Meter
from hub.operations.bench.place import MIB, Place
from hub.operations.bench.wire import Surprise, Wire
from hub.operations.processes import source_path

CHUNK_BYTES = 16 * MIB
TRIES = 3


@dataclass(frozen=True, slots=True)
class Transfer:
    """The best of three each, in MB/s."""

    megabytes: int
    upload: float
    bare_upload: float
    download: float
    bare_download: float
    web_rss_growth: float  # MB, of the one web process, while all of it went to and fro

    @property
    def upload_ratio(self) -> float:
        return self.upload / self.bare_upload

    @property
    def download_ratio(self) -> float:
        return self.download / self.bare_download


def measure(place: Place, supervisor: Supervisor, meter: Meter, folder: Path) -> Transfer:
    """Move the place's adapter to and fro; hub and bare server take turns."""
    listener = listen(0)
    number = str(listener.fileno())
    supervisor.start(
        "bare",
        [sys.executable, "-P", "-m", "hub.operations.bench.bare", str(folder), number],
        env={"PYTHONPATH": source_path()},
        log=folder / "bare.log",
        sockets=[listener],
    )
    try:
        run = place.start_run(rounds=1, strategy="fedavg")
        bare = f"http://{LOOPBACK}:{port_of(listener)}"
        before = meter.rss_by_process()["web"]
        with meter.measuring() as usage:
            best = asyncio.run(_best(place, bare, str(run.federation.slug)))
    finally:
        supervisor.stop("bare")
    size = place.size_bytes / MIB
    growth = (usage.web_rss_bytes - before) / MIB
    up, bare_up, down, bare_down = (size / seconds for seconds in best)
    return Transfer(round(size), up, bare_up, down, bare_down, growth)


async def _best(place: Place, bare_url: str, slug: str) -> list[float]:
    hub, bare = place.agents[0], Wire(bare_url, key=None)
    asked = {"agent_version": "bench", "federations": [slug]}
    offer = (await hub.post("/api/v1/agent/leases?wait=25", asked, expect=200)).json()
    content = bytearray(os.urandom(place.size_bytes))
    tries = []
    for number in range(TRIES):
        content[:1] = bytes([number])  # known bytes would not be asked for again
        sha256 = hashlib.sha256(content).hexdigest()
        works = [
            _upload(hub, offer, memoryview(content), sha256),
            _upload_bare(bare, memoryview(content)),
            _download(hub, place.version.adapter_id),
            _download_bare(bare),
        ]
        tries.append([await work for work in works])
    for wire in (hub, bare):
        wire.close()
    return [min(seconds) for seconds in zip(*tries, strict=True)]


async def _upload(hub: Wire, offer: dict[str, Any], content: memoryview, sha256: str) -> float:
    hub.close()  # the last one may have been idle for too long
    began = time.perf_counter()
    said = {"fence": offer["fence"], "sha256": sha256, "size_bytes": len(content)}
    task = f"/api/v1/agent/tasks/{offer['id']}"
    session = (await hub.post(f"{task}/uploads", said, expect=201)).json()
    await hub.upload(f"/api/v1/agent/uploads/{session['id']}", content, session["chunk_bytes"])
    return time.perf_counter() - began


async def _upload_bare(bare: Wire, content: memoryview) -> float:
    bare.close()
    began = time.perf_counter()
    await bare.upload("/", content, CHUNK_BYTES)
    await bare.send("PATCH", "/end")
    return time.perf_counter() - began


async def _download(hub: Wire, sha256: str) -> float:
    hub.close()
    began = time.perf_counter()
    if await hub.download(f"/api/v1/blobs/{sha256}") != sha256:
        raise Surprise("other bytes came than were asked for")
    return time.perf_counter() - began


async def _download_bare(bare: Wire) -> float:
    bare.close()
    began = time.perf_counter()
    await bare.download("/")
    return time.perf_counter() - began
