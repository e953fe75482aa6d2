"""What a check is, and what it finds. Each looks at one thing and never stops the others."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Generic, TypeVar

import httpx

from agent.answers import message_of
from agent.client import HubClient
from agent.datasets import DataSet, registered
from agent.home import Home, Identity
from federation.protocol import Place, StandingOut
from federation.registry import Registry

T = TypeVar("T")

ANSWER_SECONDS = 10.0


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"  # it works, but not as well or not for long
    PROBLEM = "problem"  # it does not work before somebody has acted


@dataclass(frozen=True, slots=True)
class Finding:
    """One line: how it is, what that means, and what to do about it."""

    state: State
    says: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Tried(Generic[T]):
    """What came of something that may fail and is asked for more than once."""

    value: T | None = None
    error: Exception | None = None

    @classmethod
    def of(cls, work: Callable[[], T]) -> Tried[T]:
        try:
            return Tried(work())
        except Exception as error:  # noqa: BLE001 (kept, and raised for each check that asks)
            return Tried(error=error)

    def again(self) -> T:
        """The value, or once more what was raised."""
        if self.value is None:
            raise self.error or LookupError("nothing came of it")
        return self.value


class Site:
    """What several checks need, found out once. Only `answer` and `standing` reach the hub."""

    def __init__(self, home: Home) -> None:
        self.home = home

    @property
    def identity(self) -> Identity:
        return self.home.identity()

    @cached_property
    def data(self) -> Mapping[str, DataSet]:
        return registered(self.home.data_file)

    @property
    def answer(self) -> tuple[httpx.Response, float]:
        """The hub's answer to an unsigned request, and this machine's time when it was made."""
        return self._answer.again()

    @property
    def standing(self) -> StandingOut:
        """Who the hub says we are. Raises Refused, Away and what `identity` raises."""
        return self._standing.again()

    def places(self) -> list[Place]:
        """The federations of the organisation for which there is data here."""
        return [place for place in self.standing.places if place.federation in self.data]

    @cached_property
    def _answer(self) -> Tried[tuple[httpx.Response, float]]:
        return Tried.of(lambda: _ask(self.identity.hub))

    @cached_property
    def _standing(self) -> Tried[StandingOut]:
        return Tried.of(lambda: asyncio.run(_signed(self)))


Check = Callable[[Site], Iterable[Finding]]
checks: Registry[Check] = Registry("check")


def ok(says: str) -> Finding:
    return Finding(State.OK, says)


def warning(says: str, do: str) -> Finding:
    return Finding(State.WARNING, says, do)


def problem(says: str, do: str) -> Finding:
    return Finding(State.PROBLEM, says, do)


def _ask(hub: str) -> tuple[httpx.Response, float]:
    before = time.time()
    with httpx.Client(timeout=ANSWER_SECONDS) as client:
        response = client.get(f"{hub}/livez")
    return response, (before + time.time()) / 2


async def _signed(site: Site) -> StandingOut:
    async with HubClient(site.identity.hub, site.home.private_key()) as hub:
        path = "/api/v1/agent/standing"
        response = await hub.request("GET", path, patience=0, answer_seconds=ANSWER_SECONDS)
    return message_of(StandingOut, response)
