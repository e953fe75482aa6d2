"""What the tests of this folder share: programs that serve, and a look at what is left."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg

from hub.embedded.services import ServiceUrls

PLATFORM = Path(__file__).parents[3] / "platform"
SERVE = """
import dataclasses, json, sys
from pathlib import Path
from hub.embedded.services import services

with services(Path(sys.argv[1])) as urls:
    print(json.dumps(dataclasses.asdict(urls)), flush=True)
    sys.stdin.read()
"""


@contextmanager
def launching(folder: Path, *, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[str]]:
    """Run a process that serves a folder until its input ends or it is killed."""
    command = [*prefix, sys.executable, "-c", SERVE, str(folder)]
    with subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(PLATFORM)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def launcher(folder: Path, *, prefix: Sequence[str] = ()) -> Iterator[Launcher]:
    """The same, once it serves."""
    with launching(folder, prefix=prefix) as process:
        yield Launcher(process)


class Launcher:
    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout
        self.process = process
        self.urls = ServiceUrls(**json.loads(process.stdout.readline()))

    def end(self) -> int:
        """Let it leave the services."""
        assert self.process.stdin
        self.process.stdin.close()
        return self.process.wait(timeout=30)


def sockets_of(urls: ServiceUrls) -> Path:
    return Path(urls.redis_url.removeprefix("unix://").partition("?")[0]).parent


def query(urls: ServiceUrls, statement: str) -> list[tuple[object, ...]]:
    where = f"host={sockets_of(urls)} user=foedus dbname=foedus"
    with psycopg.connect(where, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def servers_of(urls: ServiceUrls) -> dict[str, psutil.Process]:
    """Return the server processes that listen in these services' folder, by program."""
    sockets = str(sockets_of(urls))
    every = psutil.process_iter(["name", "cmdline"])
    mine = [process for process in every if sockets in " ".join(process.info["cmdline"] or ())]
    return {process.info["name"]: process for process in mine}


def eventually(claim: Callable[[], object], *, seconds: float = 20) -> None:
    """Wait until a claim holds."""
    deadline = time.monotonic() + seconds
    while not claim():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
