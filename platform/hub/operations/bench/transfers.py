"""Upload and download through the hub, beside a bare server that moves the same bytes."""

from __future__ import annotations

import asyncio
import hashlib
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from hub.embedded.ports import LOOPBACK, listen, port_of
from hub.embedded.supervisor import Supervisor
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

    @property
    def upload_ratio(self) -> float:
        return self.upload / self.bare_upload

    @property
    def download_ratio(self) -> float:
        return self.download / self.bare_download


def measure(place: Place, supervisor: Supervisor, folder: Path) -> Transfer:
    """Move the place's adapter to and fro; hub and bare server take turns."""
    listener = listen(0)
    supervisor.start(
        "bare",
        [sys.executable, "-P", "-m", "hub.operations.bench.bare", str(folder)]
        + [str(listener.fileno())],
        env={"PYTHONPATH": source_path()},
        log=folder / "bare.log",
        sockets=[listener],
    )
    try:
        run = place.start_run(rounds=1, strategy="fedavg")
        bare = f"http://{LOOPBACK}:{port_of(listener)}"
        best = asyncio.run(_best(place, bare, str(run.federation.slug)))
    finally:
        supervisor.stop("bare")
    size = place.size_bytes / MIB
    return Transfer(round(size), *(size / seconds for seconds in best))


async def _best(place: Place, bare_url: str, slug: str) -> list[float]:
    hub, bare = place.agents[0], Wire(bare_url, key=None)
    asked = {"agent_version": "bench", "federations": [slug]}
    offer = (await hub.post("/api/v1/agent/leases?wait=25", asked, expect=200)).json()
    blob = f"/api/v1/blobs/{place.version.adapter_id}"
    works: list[Callable[[], Awaitable[None]]] = [
        lambda: _upload(hub, offer["id"], offer["fence"], place.size_bytes),
        lambda: _upload_bare(bare, place.size_bytes),
        lambda: _download(hub, blob, place.version.adapter_id),
        lambda: _download_bare(bare),
    ]
    tries = [[await _timed(work) for work in works] for _ in range(TRIES)]
    for wire in (hub, bare):
        wire.close()
    return [min(seconds) for seconds in zip(*tries, strict=True)]


async def _timed(work: Callable[[], Awaitable[None]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def _upload(hub: Wire, task: str, fence: int, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    said = {
        "fence": fence,
        "sha256": hashlib.sha256(content).hexdigest(),
        "size_bytes": size_bytes,
    }
    session = await hub.post(f"/api/v1/agent/tasks/{task}/uploads", said, expect=201)
    path = f"/api/v1/agent/uploads/{session.json()['id']}"
    await hub.upload(path, memoryview(content), session.json()["chunk_bytes"])


async def _upload_bare(bare: Wire, size_bytes: int) -> None:
    content = os.urandom(size_bytes)
    hashlib.sha256(content).hexdigest()
    await bare.upload("/", memoryview(content), CHUNK_BYTES)
    await bare.send("PATCH", "/end")


async def _download(hub: Wire, path: str, sha256: str) -> None:
    if await hub.download(path) != sha256:
        raise Surprise("other bytes came than were asked for")


async def _download_bare(bare: Wire) -> None:
    await bare.download("/")
