"""The loop: while a worker is free, ask the hub for a task and put it into that worker's slot.

Only one request for work is under way at a time, however many workers there are. So what the
journal holds is all that the agent has been given, and an offer that the hub has made beyond that
never arrived.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol

from agent import __version__
from agent.client import HubClient
from agent.datasets import registered
from agent.devices import described
from agent.errors import AgentFault, Paused, Refused
from agent.home import Home
from agent.journal import Entry, Journal
from agent.leases import Lease, understood
from agent.ledgers import Ledgers
from agent.policy.standing import Site
from agent.retries import pauses
from agent.slots import Slot, Worker, guarded
from agent.witnessing import Witness
from federation.failpoints import failpoint
from federation.protocol import LeaseRequest, TaskOffer

logger = logging.getLogger(__name__)

WAIT_SECONDS = 25  # of the long poll
PAUSED_SECONDS = 30.0  # between two signs of life of a paused agent
PAUSE_LOOK_SECONDS = 0.5
CREW_LOOK_SECONDS = 1.0  # between two looks at whether a worker has come
FINISH_SECONDS = 20.0  # for results on their way to the hub when the agent is told to stop


class Crew(Protocol):
    """The agent's workers, on whatever machine."""

    def living(self) -> Iterable[Worker]:
        """Those that there are now, always in the same order."""


class Poller:
    """Gives every worker of an agent its work."""

    def __init__(self, *, home: Home, hub: HubClient, crew: Crew) -> None:
        self._home = home
        self._hub = hub
        self._crew = crew
        self._journal = Journal(home.tasks)
        self._site = Site(home)
        self._witness = Witness(home=home, hub=hub)
        self._slots: dict[str, Slot] = {}
        self._doing: dict[str, asyncio.Task[None]] = {}  # by the slot's name

    async def run_until(self, stop: asyncio.Event) -> None:
        """Poll until told to stop; results that are on their way then get some time to arrive."""
        polling = asyncio.create_task(self._poll(stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        await self._delivered()
        await _ended(stopping)
        await _ended(polling)
        await self._hand_back()

    async def _poll(self, stop: asyncio.Event) -> None:
        self._journal.sweep()
        try:
            async with asyncio.TaskGroup() as group:
                await self._resume(group)
                await self._ask(stop, group)
        except ExceptionGroup as several:  # one slot's fault ends the others' work
            raise several.exceptions[0] from None

    async def _resume(self, group: asyncio.TaskGroup) -> None:
        """Go on with what the journal holds, each task where it was if that worker is there."""
        there = {worker.name for worker in self._crew.living()}
        for entry in sorted(self._journal.entries(), key=lambda entry: entry.worker not in there):
            free = await self._free()
            entry.resume()
            self._begin(entry, free, group, is_resumed=True)

    async def _ask(self, stop: asyncio.Event, group: asyncio.TaskGroup) -> None:
        waits = pauses()
        while not stop.is_set():
            await self._free()
            try:
                offer = await guarded(self._lease(), by=self._until_paused())
            except Paused:
                await self._rest()
                continue
            except (Refused, AgentFault) as refusal:
                if isinstance(refusal, Refused) and refusal.is_final:
                    raise
                logger.warning("no work can be taken", extra={"cause": str(refusal)})
                await asyncio.sleep(next(waits))
                continue
            waits = pauses()
            if offer:
                entry = self._journal.open(offer)
                failpoint("W04", "after")
                # It was when we asked, and mostly is now.
                self._begin(entry, await self._free(), group)

    def _begin(
        self,
        entry: Entry,
        free: Sequence[Slot],
        group: asyncio.TaskGroup,
        *,
        is_resumed: bool = False,
    ) -> None:
        """Put a task into a free slot; into the one that it was in, if it can be."""
        slot = next((slot for slot in free if slot.name == entry.worker), free[0])
        entry.assign(slot.name)
        work = slot.finish(Lease(self._hub, entry), is_resumed=is_resumed)
        self._doing[slot.name] = group.create_task(work, name=f"work of {slot.name}")

    async def _free(self) -> list[Slot]:
        """Wait until a worker has nothing to do; return the slots of all such workers."""
        while not (free := self._free_now()):
            if doing := set(self._doing.values()):
                await asyncio.wait(
                    doing, timeout=CREW_LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
                )
            else:
                await asyncio.sleep(CREW_LOOK_SECONDS)
        return free

    def _free_now(self) -> list[Slot]:
        self._doing = {name: task for name, task in self._doing.items() if not task.done()}
        for worker in self._crew.living():
            if worker.name not in self._slots:
                self._slots[worker.name] = Slot(
                    home=self._home,
                    hub=self._hub,
                    site=self._site,
                    witness=self._witness,
                    worker=worker,
                )
        return [
            slot
            for name, slot in self._slots.items()
            if name not in self._doing and slot.worker.is_living
        ]

    async def _lease(self) -> TaskOffer | None:
        """Ask for work, and wait at the hub until there is some."""
        began = time.monotonic()
        failpoint("W04", "before")
        response = await self._hub.post(
            f"/api/v1/agent/leases?wait={WAIT_SECONDS}",
            self._asking(),
            answer_seconds=2 * WAIT_SECONDS,
        )
        if response.status_code != HTTPStatus.NO_CONTENT:
            return await understood(self._hub, response)
        await asyncio.sleep(max(0.0, began + 1.0 - time.monotonic()))
        return None

    async def _until_paused(self) -> None:
        """Watch for the pause file, which other processes make. Raises Paused."""
        while True:
            if self._home.is_paused:
                raise Paused
            await asyncio.sleep(PAUSE_LOOK_SECONDS)

    async def _rest(self) -> None:
        """Take nothing while paused, and show now and then that we live."""
        told_at = -PAUSED_SECONDS
        while self._home.is_paused:
            if time.monotonic() - told_at > PAUSED_SECONDS:
                await self._hub.post("/api/v1/agent/leases?wait=0", self._asking(busy=True))
                told_at = time.monotonic()
            await asyncio.sleep(PAUSE_LOOK_SECONDS)

    def _asking(self, *, busy: bool = False) -> LeaseRequest:
        trusted = registered(self._home.data_file).keys() - Ledgers(self._home).held().keys()
        federations, policy = self._site.open(trusted)
        return LeaseRequest(
            agent_version=__version__,
            federations=federations,
            policy=policy,
            device=described(self._home),
            busy=busy,
            held=tuple(entry.offer.id for entry in self._journal.entries()),
        )

    async def _delivered(self) -> None:
        """Give results that are on their way some time to arrive."""
        doing = {task for name, task in self._doing.items() if self._slots[name].is_delivering}
        if doing:
            await asyncio.wait(doing, timeout=FINISH_SECONDS)

    async def _hand_back(self) -> None:
        """Let others take what has no result yet; a result is sent at the next start."""
        for entry in self._journal.entries():
            if entry.outcome:
                continue
            entry.cancel()
            lease = Lease(self._hub, entry)
            if await lease.give_back():
                logger.info("task handed back", extra=lease.facts)
                self._journal.set_aside(entry)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task; raise what it had raised before that."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
