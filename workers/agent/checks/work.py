"""What runs: the agent, its workers, its broker."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from redis import Redis, RedisError

from agent.broker import executable
from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.home import Home
from agent.roster import manned
from agent.worker import BROKER

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


@checks.register("workers")
def workers(site: Site) -> Iterator[Finding]:
    """On each device of this agent, also on other machines, a worker lives and can work."""
    found = manned(site.home)
    if not found and site.home.is_running:
        yield problem("No worker runs.", "See the agent's log, then restart the agent.")
    for post in found:
        if post.device:
            yield ok(f"{post.name}: {post.device}.")
        else:
            yield warning(f"{post.name} is still loading its libraries.", "Wait half a minute.")
