"""The two halves of every task type: the worker performs, the poller sends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol

from pydantic import BaseModel

from agent.arrangement import members
from agent.artifacts import Fetcher
from agent.client import HubClient
from agent.datasets import Part, load, registered
from agent.errors import DataRefused
from agent.home import Home
from agent.journal import Entry
from agent.progress import Reporter
from federation.modelling.messages import Examples
from federation.plan import Plan
from federation.protocol import Progress
from federation.registry import Registry


@dataclass(frozen=True, slots=True)
class Work:
    """What a task type is given in the worker."""

    home: Home
    entry: Entry
    device: str
    reporter: Reporter = field(init=False)
    fetcher: Fetcher = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "reporter", Reporter(self.entry))
        object.__setattr__(self, "fetcher", Fetcher(self.home, self.reporter.check))

    @property
    def devices(self) -> tuple[str, ...]:
        """What this task may use together; mostly one."""
        return members(self.device)

    def examples(self, part: Part, plan: Plan) -> Examples:
        """The site's own data for this federation. Raises DataRefused."""
        data = registered(self.home.data_file).get(self.entry.offer.federation)
        if data is None:
            raise DataRefused("not_mapped", "the site has no data for this federation")
        return load(data, part, plan)


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a task type is given in the poller, once its work is done."""

    hub: HubClient
    home: Home
    entry: Entry
    submission: Mapping[str, Any]  # the message as JSON
    show: Callable[[Progress], None]  # what the next heartbeat says
    may_reveal: asyncio.Event = field(default_factory=asyncio.Event)  # a heartbeat was told so

    @property
    def path(self) -> str:
        return f"/api/v1/agent/tasks/{self.entry.offer.id}"

    def key(self, *parts: object) -> str:
        """The Idempotency-Key of one message: the same in every try and after every restart."""
        facts = (self.entry.offer.id, self.entry.offer.fence, *parts)
        return sha256("\n".join(map(str, facts)).encode()).hexdigest()


class TaskKind(Protocol):
    """One type of task. Its module imports torch inside functions only: the poller has none."""

    def perform(self, work: Work) -> BaseModel:
        """Do the work, in the worker; return the message to submit."""

    async def upload(self, delivery: Delivery) -> None:
        """Send the bytes that go beside the message, while heartbeats keep the lease."""

    async def submit(self, delivery: Delivery) -> None:
        """Send the message; sent twice, it counts once."""


task_types: Registry[type[TaskKind]] = Registry("task type")
