"""`foedus-agent run`: broker, worker and poller together, until a signal says stop."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
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
from agent.display import show_progress
from agent.home import VARIABLE, Home
from agent.poller import Poller
from agent.rotation import finish, keep_fresh
from agent.supervision import Child
from agent.worker import BROKER, DEVICE, EXECUTE, make_app, queue_of

logger = logging.getLogger(__name__)

# The worker's Hugging Face client talks to the hub only: no other host, no token of a person.
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
    """The worker process, and the way to send to it."""

    app: Celery
    queue: str
    child: Child

    async def send(self, task_id: str) -> None:
        """Send a task's id; while the broker is away the poller comes again by itself."""
        try:
            await asyncio.to_thread(self._send, task_id)
        except (OperationalError, OSError) as away:
            logger.warning("broker away", extra={"cause": type(away).__name__})

    def kill(self) -> None:
        self.child.kill()

    def _send(self, task_id: str) -> None:
        self.app.send_task(EXECUTE, args=[task_id], queue=self.queue, retry=False)


async def run_agent(home: Home, *, device: str) -> None:
    """Run until SIGTERM or SIGINT. Raises AgentFault and, for a final one, Refused."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    identity = home.identity()
    facts = {"agent": str(identity.agent), "organisation": identity.organisation}
    with home.locked():
        logger.info("agent started", extra={**facts, "hub": identity.hub})
        await finish(home, stop)
        async with (
            HubClient(identity.hub, home.private_key, folder=home.cache) as hub,
            _worker(home, device) as worker,
            beside(keep_fresh(home)),
            beside(show_progress(home)),
        ):
            await Poller(home=home, hub=hub, worker=worker).run_until(stop)
        logger.info("agent stopped", extra=facts)


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
async def _worker(home: Home, device: str) -> AsyncIterator[CeleryWorker]:
    """The worker process on the site's broker, or on one of its own."""
    async with AsyncExitStack() as stack:
        url = os.environ.get(BROKER, "")
        url = url or await stack.enter_async_context(embedded_broker(home))
        command = [sys.executable, "-m", "agent.worker"]
        env = {**environment(home), BROKER: url, DEVICE: device}
        child = await stack.enter_async_context(Child("worker", command, env))
        yield CeleryWorker(make_app(url), queue_of(device), child)


def environment(home: Home) -> dict[str, str]:
    """Where the worker finds our code, whether it is installed or only lies in a folder."""
    roots = [str(Path(package.__path__[0]).parent) for package in (agent, federation)]
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([*roots, *([inherited] if inherited else [])])
    return {"PYTHONPATH": path, VARIABLE: str(home.folder), **HUGGING_FACE}
