"""The loop: lease a task, have the worker do it, send what came of it; one task at a time.

Everything it does can be done again: the journal says where each task stands, and the hub's
answers say what still counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import Any, Protocol, TypeVar

from agent import __version__
from agent.client import HubClient
from agent.datasets import registered
from agent.devices import described
from agent.errors import AgentFault, Paused, Refused, TaskGone
from agent.home import Home
from agent.journal import Entry, Journal, Outcome
from agent.leases import Lease, understood
from agent.policy.standing import Site
from agent.retries import pauses
from agent.tasks import Delivery, task_types
from federation.failpoints import failpoint
from federation.protocol import FailureIn, LeaseRequest, Progress, TaskOffer

logger = logging.getLogger(__name__)

T = TypeVar("T")

WAIT_SECONDS = 25  # of the long poll
PAUSED_SECONDS = 30.0  # between two signs of life of a paused agent
PAUSE_LOOK_SECONDS = 0.5
LOOK_SECONDS = 0.05  # between two looks at what the worker has written
SEND_AGAIN_SECONDS = 10.0  # a message that no worker has taken up by then is sent again
ABSENT_SECONDS = 300.0  # a task that no worker takes up for so long has failed
CANCEL_SECONDS = 10.0  # a cancelled worker that has not stopped by then is killed
FINISH_SECONDS = 20.0  # for a result on its way to the hub when the agent is told to stop

GONE_CODES = frozenset({"lease_lost", "task_over", "already_submitted", "late"})
GONE_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class Worker(Protocol):
    """The process that does the work."""

    async def send(self, task_id: str) -> None:
        """Have it take up a journalled task; sent twice does no harm."""

    def kill(self) -> None:
        """End what it is doing now, by force."""


class Poller:
    """One device's loop."""

    def __init__(self, *, home: Home, hub: HubClient, worker: Worker) -> None:
        self._home = home
        self._hub = hub
        self._worker = worker
        self._journal = Journal(home.tasks)
        self._site = Site(home)
        self._is_delivering = False

    async def run_until(self, stop: asyncio.Event) -> None:
        """Poll until told to stop; a result that is on its way then gets some time to arrive."""
        polling = asyncio.create_task(self._poll(stop))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({polling, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if self._is_delivering:
            await asyncio.wait({polling}, timeout=FINISH_SECONDS)
        await _ended(stopping)
        await _ended(polling)
        await self._hand_back()

    async def _poll(self, stop: asyncio.Event) -> None:
        self._journal.sweep()
        for entry in self._journal.entries():
            entry.resume()
            await self._finish(Lease(self._hub, entry), is_resumed=True)
        waits = pauses()
        while not stop.is_set():
            try:
                offer = await _guarded(self._lease(), by=self._until_paused())
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
                await self._finish(Lease(self._hub, entry))

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
        federations, policy = self._site.open(registered(self._home.data_file))
        return LeaseRequest(
            agent_version=__version__,
            federations=federations,
            policy=policy,
            device=described(self._home),
            busy=busy,
        )

    async def _finish(self, lease: Lease, *, is_resumed: bool = False) -> None:
        """See a task through to its end, whichever that is, and forget it."""
        logger.info("task resumed" if is_resumed else "task leased", extra=lease.facts)
        try:
            if is_resumed:
                await lease.beat_after_restart()
            self._site.admit(lease.entry, is_resumed=is_resumed)
            async with self._site.meter(lease.entry).running():
                await self._see_through(lease)
            logger.info("task over", extra=lease.facts)
        except TaskGone as gone:
            logger.info("task dropped", extra={**lease.facts, "reason": gone.reason})
            await self._halt(lease)
            if gone.told:
                await lease.give_back()
        finally:
            self._is_delivering = False
        lease.entry.close()

    async def _see_through(self, lease: Lease) -> None:
        entry = lease.entry
        if not entry.outcome:
            await _guarded(self._performed(entry), by=lease.keep())
        outcome = entry.outcome
        assert outcome
        self._is_delivering = True
        try:
            await self._deliver(lease, outcome)
        except Refused as refusal:
            await _refused(lease, refusal)

    async def _performed(self, entry: Entry) -> None:
        """Return when it is written down what came of the task."""
        seen_at = time.monotonic()
        sent_at = -SEND_AGAIN_SECONDS
        while not entry.outcome:
            now = time.monotonic()
            if entry.is_worked_on:
                seen_at = now
            elif now - seen_at > ABSENT_SECONDS:
                entry.decide(_without_worker(entry))
            elif now - sent_at > SEND_AGAIN_SECONDS:
                await self._worker.send(str(entry.offer.id))
                sent_at = now
            await asyncio.sleep(LOOK_SECONDS)

    async def _deliver(self, lease: Lease, outcome: Outcome) -> None:
        if outcome.failure:
            await lease.fail(outcome.failure)
            return
        assert outcome.submission
        kind = task_types[lease.entry.offer.spec.type]()
        delivery = Delivery(self._hub, self._home, lease.entry, outcome.submission, lease.show)
        lease.show(Progress(phase="uploading"))
        await _guarded(kind.upload(delivery), by=lease.keep())
        await kind.submit(delivery)

    async def _halt(self, lease: Lease) -> None:
        """Return when no worker is on the task any more."""
        lease.entry.cancel()
        give_up_at = time.monotonic() + CANCEL_SECONDS
        while lease.entry.is_worked_on:
            if time.monotonic() > give_up_at:
                logger.warning("worker does not stop, killing it", extra=lease.facts)
                self._worker.kill()
                give_up_at = time.monotonic() + CANCEL_SECONDS
            await asyncio.sleep(LOOK_SECONDS)

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


async def _refused(lease: Lease, refusal: Refused) -> None:
    """The hub does not want the result: it is not ours to give, or it is not good enough."""
    if refusal.is_final:
        raise refusal
    if refusal.code in GONE_CODES or refusal.status in GONE_STATUSES:
        raise TaskGone(refusal.code) from refusal
    logger.error("result refused", extra={**lease.facts, "cause": str(refusal)})
    failure = FailureIn(fence=lease.entry.offer.fence, code=refusal.code, retry=False)
    with suppress(Refused):
        await lease.fail(failure)


def _without_worker(entry: Entry) -> Outcome:
    """A worker that does not start must not keep the lease for ever."""
    told = "the agent's worker does not start"
    failure = FailureIn(fence=entry.offer.fence, code="worker_absent", detail=told)
    return Outcome(failure=failure)


async def _guarded(work: Coroutine[Any, Any, T], *, by: Coroutine[Any, Any, None]) -> T:
    """Do the work, unless its guard raises before it is done; leave neither behind."""
    working, guarding = asyncio.create_task(work), asyncio.create_task(by)
    try:
        await asyncio.wait({working, guarding}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            guarding.result()
        return await working
    finally:
        working.cancel()
        guarding.cancel()
        await asyncio.gather(working, guarding, return_exceptions=True)


async def _ended(task: asyncio.Task[Any]) -> None:
    """Cancel a task; raise what it had raised before that."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
