"""What runs: the agent, its worker, its broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
from redis import Redis, RedisError

from agent.broker import executable
from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.home import VARIABLE, Home
from agent.worker import BROKER

MODULE = "agent.worker"
PING_SECONDS = 2.0


@checks.register("agent")
def agent(site: Site) -> Iterator[Finding]:
    """It runs, and takes work."""
    if not site.home.is_running:
        yield warning("The agent does not run.", "foedus-agent run, or systemctl start it.")
    elif site.home.is_paused:
        yield warning("The agent is paused.", "foedus-agent resume takes work again.")
    else:
        yield ok("The agent runs.")


@checks.register("broker")
def broker(site: Site) -> Iterator[Finding]:
    """The Redis between poller and worker answers; or, while nothing runs, could be started."""
    address = broker_address(site.home)
    if not address:
        yield ok(f"The agent will start its own Redis, {Path(executable()).name}.")
        return
    try:
        with Redis.from_url(address, socket_timeout=PING_SECONDS) as client:
            client.ping()
    except (RedisError, OSError) as error:
        yield problem(
            f"The broker does not answer ({type(error).__name__}).",
            f"Start it, or correct {BROKER}; the agent's own is restarted with the agent.",
        )
    else:
        yield ok("The broker answers.")


def broker_address(home: Home) -> str:
    """Where the broker is, as the client wants it; empty where the agent's own does not run."""
    if url := os.environ.get(BROKER):
        return url.replace("redis+socket://", "unix://")
    note = home.folder / "broker.folder"
    socket = Path(note.read_text()) / "r.sock" if note.exists() else None
    return f"unix://{socket}" if socket and socket.exists() and home.is_running else ""


@checks.register("worker")
def worker(site: Site) -> Iterator[Finding]:
    """The processes that train are there while the agent runs."""
    if not site.home.is_running:
        return
    found = [process.pid for process in psutil.process_iter() if works_for(process, site.home)]
    if not found:
        yield problem("No worker runs.", "See the agent's log, then restart the agent.")
    elif not site.home.device_file.exists():
        yield warning("The worker is still loading its libraries.", "Wait half a minute.")
    else:
        yield ok(f"{len(found)} worker process{'es' if len(found) > 1 else ''}.")


def works_for(process: psutil.Process, home: Home) -> bool:
    """Whether this is a worker of the agent; processes of others cannot be looked into."""
    try:
        is_worker = MODULE in process.cmdline()
        return is_worker and process.environ().get(VARIABLE) == str(home.folder)
    except psutil.Error:
        return False
