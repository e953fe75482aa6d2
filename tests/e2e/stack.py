"""A whole installation for the browser: `manage.py up` with a folder of its own, and agents.

Imports nothing of the product: it is driven as a person and a site engineer would drive it.
"""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
OURS = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "HUB_SIGNING_KEY", "FOEDUS_HOME")
QUICK = {"LEASE_SECONDS": "20", "HEARTBEAT_SECONDS": "0.5", "RECONCILE_SECONDS": "1"}


@dataclass
class Stack:
    url: str
    folder: Path
    operator: tuple[str, str]
    environment: dict[str, str]
    agents: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def manage(self, *arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        return done.stdout

    def agent(self, name: str, *arguments: str) -> list[str]:
        home = str(self.folder / "agents" / name)
        return [sys.executable, "-P", "-m", "agent", *arguments, "--home", home]

    def enrol(self, name: str, line: str, federation: str) -> None:
        """Do what the enrolment page says: paste its line, name the data, run."""
        code = re.search(r"--code (\S+)", line)
        assert code, line
        data = self.folder / "data" / name
        write_data(data)
        environment = {k: v for k, v in self.environment.items() if k not in OURS}
        environment["PYTHONPATH"] = os.pathsep.join([f"{ROOT}/platform", f"{ROOT}/workers"])
        for words in (
            ("enrol", self.url, "--code", code[1], "--name", f"{name}-1"),
            ("data", "add", federation, str(data)),
        ):
            command = self.agent(name, *words)
            subprocess.run(command, env=environment, check=True, capture_output=True, timeout=120)
        with (self.folder / f"{name}.log").open("wb") as log:
            command = self.agent(name, "run")
            self.agents.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))


@contextmanager
def running(folder: Path, **settings: str) -> Iterator[Stack]:
    """The hub, up and migrated, until the block ends. `settings`: more of its environment."""
    environment = {k: v for k, v in os.environ.items() if k not in OURS}
    environment |= {**QUICK, "FOEDUS_HOME": str(folder / "home"), "OMP_NUM_THREADS": "1"}
    environment |= settings
    with (folder / "up.log").open("wb") as log:
        hub = subprocess.Popen(
            [sys.executable, "manage.py", "up", "--port", str(free_port())],
            cwd=ROOT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    stack = Stack("", folder, ("", ""), environment)
    try:
        said = wait_for(folder / "up.log", r"The hub is up:\s+(\S+)", hub)
        stack.url = said[1]
        httpx.get(f"{stack.url}/readyz", timeout=30).raise_for_status()
        yield stack
    finally:
        for process in (*stack.agents, hub):
            process.send_signal(signal.SIGTERM)
        for process in (*stack.agents, hub):
            with suppress(subprocess.TimeoutExpired):
                process.wait(timeout=30)
            process.kill()


def wait_for(log: Path, pattern: str, process: subprocess.Popen[bytes]) -> re.Match[str]:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        text = log.read_text(errors="replace")
        if found := re.search(pattern, text):
            return found
        assert process.poll() is None, text[-3000:]
        time.sleep(0.2)
    raise AssertionError(log.read_text()[-3000:])


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_data(folder: Path) -> None:
    """Two kinds of weather, as a site keeps them."""
    folder.mkdir(parents=True)
    rows = [("the sun burns hot and bright", "hot"), ("snow falls cold on winter ice", "cold")] * 16
    for name, part in (("train.csv", rows), ("test.csv", rows[:8])):
        with (folder / name).open("w", newline="") as file:
            csv.writer(file).writerows([("text", "label"), *part])
