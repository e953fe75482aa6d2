"""`foedus-agent run`: broker, workers and poller together, until a signal says stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError

import agent
import federation
from agent.broker import embedded_broker
from agent.client import HubClient
from agent.devices import chosen
from agent.display import show_progress
from agent.errors import AgentFault, AlreadyRunning
from agent.home import VARIABLE, Home
from agent.poller import Poller
from agent.roster import Post, manned, name_of, posts
from agent.rotation import finish, keep_fresh
from agent.supervision import Child
from agent.worker import BROKER, DEVICE, EXECUTE, make_app

logger = logging.getLogger(__name__)

# The workers' Hugging Face client talks to the hub only: no other host, no token of a person.
HUGGING_FACE = {
    "HF_HUB_OFFLINE": "0",
    "TRANSFORMERS_OFFLINE": "0",
    "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_XET": "1",
    "HF_HUB_VERBOSITY": "error",
    "TRANSFORMERS_VERBOSITY": "error",
}


@dataclass(frozen=True, slots=True)
class CeleryWorker:
    """A worker, and the way to send to it; `child` is its process where we started it."""

    app: Celery
    post: Post
    child: Child | None = None

    @property
    def name(self) -> str:
        return self.post.name

    @property
    def is_living(self) -> bool:
        """Our own is started again when it dies."""
        return self.child is not None or self.post.is_manned

    async def send(self, task_id: str) -> None:
        """Send a task's id; while the broker is away the slot comes again by itself."""
        try:
            await asyncio.to_thread(self._send, task_id)
        except (OperationalError, OSError) as away:
            logger.warning("broker away", extra={"cause": type(away).__name__})

    def kill(self) -> None:
        if self.child:
            self.child.kill()

    def _send(self, task_id: str) -> None:
        self.app.send_task(EXECUTE, args=[task_id], queue=self.name, retry=False)


@dataclass(frozen=True, slots=True)
class CeleryCrew:
    """Our own workers, and those of other machines that have put up a sign."""

    home: Home
    app: Celery
    own: Mapping[str, Child]

    def living(self) -> list[CeleryWorker]:
        others = [post for post in manned(self.home) if post.name not in self.own]
        return [
            *(
                CeleryWorker(self.app, Post.of(self.home, name), child)
                for name, child in self.own.items()
            ),
            *(CeleryWorker(self.app, post) for post in others),
        ]


async def run_agent(home: Home, *, device: str) -> None:
    """Run until SIGTERM or SIGINT. Raises AgentFault and, for a final one, Refused."""
    stop = _stopped_by_signals()
    identity = home.identity()
    facts = {"agent": str(identity.agent), "organisation": identity.organisation}
    devices = chosen(device, environment(home))
    with home.locked():
        logger.info("agent started", extra={**facts, "hub": identity.hub})
        for post in posts(home):
            post.sweep()
        await finish(home, stop)
        async with (
            HubClient(identity.hub, home.private_key, folder=home.cache) as hub,
            _crew(home, devices) as crew,
            beside(keep_fresh(home)),
            beside(show_progress(home)),
        ):
            await Poller(home=home, hub=hub, crew=crew).run_until(stop)
        logger.info("agent stopped", extra=facts)


async def run_workers(home: Home, *, device: str) -> None:
    """Train on this machine for an agent that runs on another, until SIGTERM or SIGINT.

    Raises AgentFault where that cannot be.
    """
    stop = _stopped_by_signals()
    identity = home.identity()
    if not (url := os.environ.get(BROKER, "")):
        raise AgentFault(f"Set {BROKER} to the Redis that the agent on the other machine uses.")
    devices = chosen(device, environment(home))
    for name in map(name_of, devices):
        if Post.of(home, name).is_manned:
            raise AlreadyRunning(f"A worker {name} runs for this agent already.")
    logger.info("workers started", extra={"agent": str(identity.agent), "devices": devices})
    async with _workers(home, devices, url):
        await stop.wait()
    logger.info("workers stopped", extra={"agent": str(identity.agent)})


def _stopped_by_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do something for as long as the block lasts."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@asynccontextmanager
async def _crew(home: Home, devices: Sequence[str]) -> AsyncIterator[CeleryCrew]:
    """A worker for each device, on the site's broker or on one of their own."""
    async with AsyncExitStack() as stack:
        url = os.environ.get(BROKER, "")
        url = url or await stack.enter_async_context(embedded_broker(home))
        own = await stack.enter_async_context(_workers(home, devices, url))
        yield CeleryCrew(home, make_app(url, home.identity().agent), own)


@asynccontextmanager
async def _workers(
    home: Home, devices: Sequence[str], url: str
) -> AsyncIterator[Mapping[str, Child]]:
    """The worker processes of this machine, by their names."""
    command = [sys.executable, "-m", "agent.worker"]
    async with AsyncExitStack() as stack:
        own = {}
        for device in devices:
            env = {**environment(home), BROKER: url, DEVICE: device}
            child = Child(f"worker {device}", command, env)
            own[name_of(device)] = await stack.enter_async_context(child)
        yield own


def environment(home: Home) -> dict[str, str]:
    """Where the worker finds our code, whether it is installed or only lies in a folder."""
    roots = [str(Path(package.__path__[0]).parent) for package in (agent, federation)]
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*roots, *([inherited] if inherited else [])])
    return {"PYTHONPATH": path, VARIABLE: str(home.folder), **HUGGING_FACE}
