"""A large file of a base model through /hf, beside bare servers that send the same file."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hub.accounts.models import Scope, User
from hub.accounts.services import issue_token
from hub.catalogue.bases.registering import register_base_model
from hub.embedded.ports import LOOPBACK, listen, port_of
from hub.embedded.supervisor import Supervisor
from hub.operations.bench.machine import Meter
from hub.operations.bench.place import MIB
from hub.operations.bench.wire import Surprise, Wire
from hub.operations.processes import source_path

PYTHON = (sys.executable, "-P", "-m")
TRIES = 3
NAME, WEIGHTS = "bench-large", "model.safetensors"
Asked = tuple[str, str, Mapping[str, str]]  # server, path, headers


@dataclass(frozen=True, slots=True)
class Fetched:
    """The best of three each, in MB/s."""

    megabytes: int
    hub: float
    asgi: float  # uvicorn with a loop that reads and sends
    sendfile: float
    web_rss_growth: float  # MB, of the one web process meanwhile

    @property
    def asgi_ratio(self) -> float:
        return self.hub / self.asgi

    @property
    def sendfile_ratio(self) -> float:
        return self.hub / self.sendfile


def measure(
    url: str, supervisor: Supervisor, meter: Meter, folder: Path, *, megabytes: int
) -> Fetched:
    """Fetch the file by turns from the hub and from both bare servers."""
    file = _base_of(megabytes, folder / NAME)
    size = file.stat().st_size
    person = User.objects.create_user("reader@bench.example", None, name="Rita")
    secret = issue_token(user=person, name="bench", days=1, scope=Scope.READ)[1]
    token = {"Authorization": f"Bearer {secret}"}
    (folder / "given").symlink_to(file)
    with (
        _server(supervisor, "bare", folder, folder) as asgi,
        _server(supervisor, "sending", file, folder) as sending,
    ):
        asked: list[Asked] = [
            (url, f"/hf/base/{NAME}/resolve/main/{WEIGHTS}", token),
            (asgi, "/given", {}),
            (sending, "/", {}),
        ]
        before = meter.rss_by_process()["web"]
        with meter.measuring() as usage:
            seconds = asyncio.run(_best(asked, size))
    own, bare, sent = (size / MIB / each for each in seconds)
    growth = (usage.web_rss_bytes - before) / MIB
    return Fetched(round(size / MIB), own, bare, sent, growth)


def _base_of(megabytes: int, folder: Path) -> Path:
    """Register a base model of one large file; nobody ever loads it."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": ["None"]}))
    length = megabytes * MIB
    tensor = {"dtype": "F32", "shape": [length // 4], "data_offsets": [0, length]}
    header = json.dumps({"w": tensor}).encode()
    file = folder / WEIGHTS
    with file.open("wb") as out:
        out.write(len(header).to_bytes(8, "little") + header)
        for _ in range(megabytes):
            out.write(os.urandom(MIB))
    register_base_model(folder=folder, slug=NAME, name="Large", licence="Apache-2.0")
    return file


@contextmanager
def _server(supervisor: Supervisor, module: str, what: Path, folder: Path) -> Iterator[str]:
    listener = listen(0)
    supervisor.start(
        module,
        [*PYTHON, f"hub.operations.bench.{module}", str(what), str(listener.fileno())],
        env={"PYTHONPATH": source_path()},
        log=folder / f"{module}.log",
        sockets=[listener],
    )
    try:
        yield f"http://{LOOPBACK}:{port_of(listener)}"
    finally:
        supervisor.stop(module)


async def _best(asked: list[Asked], size: int) -> list[float]:
    tries = [[await _fetch(*one, size) for one in asked] for _ in range(TRIES)]
    return [min(seconds) for seconds in zip(*tries, strict=True)]


async def _fetch(server: str, path: str, headers: Mapping[str, str], size: int) -> float:
    """Seconds until the last byte; they are counted, and nothing else is done with them."""
    wire, came = Wire(server, key=None), 0

    def take(piece: bytes) -> None:
        nonlocal came
        came += len(piece)

    began = time.perf_counter()
    answer = await wire.send("GET", path, headers=headers, take=take)
    seconds = time.perf_counter() - began
    wire.close()
    if (answer.status, came) != (200, size):
        raise Surprise(f"{answer.status}: {came} of {size} bytes from {server}{path}")
    return seconds
