"""One worker's slot: a leased task is done there, and what came of it is sent; one at a time.

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

from agent.client import HubClient
from agent.errors import LedgerFault, Refused, TaskGone
from agent.home import Home
from agent.journal import Entry, Journal, Outcome
from agent.leases import Lease
from agent.policy.standing import Site
from agent.tasks import Delivery, task_types
from agent.witnessing import Witness
from federation.protocol import FailureIn, Progress

logger = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_SECONDS = 0.05  # between two looks at what the worker has written
SEND_AGAIN_SECONDS = 10.0  # a message that no worker has taken up by then is sent again
ABSENT_SECONDS = 300.0  # a task that no worker takes up for so long has failed
GONE_SECONDS = 30.0  # a worker of another machine that has left and not come back by then is gone
CANCEL_SECONDS = 15.0  # the worker ends a cancelled task itself; by then it is ended with it
GIVE_UP_SECONDS = 60.0  # no word any more from another machine

GONE_CODES = frozenset({"lease_lost", "task_over", "already_submitted", "late"})
GONE_STATUSES = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class Worker(Protocol):
    """The process that does the work."""

    @property
    def name(self) -> str: ...

    @property
    def is_living(self) -> bool:
        """Whether it can be expected to take up a task, if not now then soon."""

    async def send(self, task_id: str) -> None:
        """Have it take up a journalled task; sent twice does no harm."""

    def kill(self) -> None:
        """End it by force, where it is ours; another takes its place."""


class Slot:
    """Sees the tasks of one worker through, one after the other."""

    def __init__(
        self, *, home: Home, hub: HubClient, site: Site, witness: Witness, worker: Worker
    ) -> None:
        self.worker = worker
        self.is_delivering = False
        self._home = home
        self._hub = hub
        self._site = site
        self._witness = witness

    @property
    def name(self) -> str:
        return self.worker.name

    async def finish(self, lease: Lease, *, is_resumed: bool = False) -> None:
        """See a task through to its end, whichever that is, and forget it."""
        facts = {**lease.facts, "worker": self.name}
        logger.info("task resumed" if is_resumed else "task leased", extra=facts)
        try:
            if is_resumed:
                await lease.beat_after_restart()
            self._site.admit(lease.entry, is_resumed=is_resumed)
            async with self._site.meter(lease.entry).running():
                await self._see_through(lease)
            logger.info("task over", extra=lease.facts)
        except TaskGone as gone:
            logger.info("task dropped", extra={**lease.facts, "reason": gone.reason})
            has_stopped = await self._halt(lease)
            if gone.told and has_stopped:
                await lease.give_back()
            if is_resumed:  # it may come again: how far it was before the crash still counts
                Journal(self._home.tasks).set_aside(lease.entry)
        finally:
            self.is_delivering = False
        lease.entry.close()

    async def _see_through(self, lease: Lease) -> None:
        entry = lease.entry
        if not entry.outcome:
            await guarded(self._worked_on(entry), by=lease.keep())
        outcome = entry.outcome
        assert outcome
        self.is_delivering = True
        try:
            await self._deliver(lease, outcome)
        except Refused as refusal:
            await _refused(lease, refusal)

    async def _worked_on(self, entry: Entry) -> None:
        """Have the worker do it, once the ledger is found to be in order. Raises TaskGone."""
        try:
            await self._witness.examine(entry)
        except LedgerFault as fault:
            failure = FailureIn(
                fence=entry.offer.fence, code=fault.code, detail=fault.detail, retry=fault.retry
            )
            entry.decide(Outcome(failure=failure))
            return
        await self._performed(entry)

    async def _performed(self, entry: Entry) -> None:
        """Return when it is written down what came of the task. Raises TaskGone."""
        seen_at = time.monotonic()
        sent_at = -SEND_AGAIN_SECONDS
        while not entry.outcome:
            now = time.monotonic()
            if entry.is_worked_on:
                seen_at = now
            elif now - seen_at > ABSENT_SECONDS:
                entry.decide(_without_worker(entry))
            elif now - seen_at > GONE_SECONDS and not self.worker.is_living:
                raise TaskGone("its worker is gone", told=True)
            elif now - sent_at > SEND_AGAIN_SECONDS:
                await self.worker.send(str(entry.offer.id))
                sent_at = now
            await asyncio.sleep(LOOK_SECONDS)

    async def _deliver(self, lease: Lease, outcome: Outcome) -> None:
        if outcome.failure:
            await lease.fail(outcome.failure)
            return
        assert outcome.submission
        kind = task_types[lease.entry.offer.spec.type]()
        delivery = Delivery(
            self._hub,
            self._home,
            lease.entry,
            outcome.submission,
            lease.show,
            lease.may_reveal,
        )
        lease.show(Progress(phase="uploading"))
        await guarded(kind.upload(delivery), by=lease.keep())
        await kind.submit(delivery)

    async def _halt(self, lease: Lease) -> bool:
        """Return when nothing works on the task any more; False if that cannot be found out."""
        lease.entry.cancel()
        began = kill_at = time.monotonic()
        while lease.entry.is_worked_on:
            now = time.monotonic()
            if now - began > GIVE_UP_SECONDS:
                logger.error("worker does not stop", extra=lease.facts)
                return False
            if now - kill_at > CANCEL_SECONDS:
                logger.warning("worker does not stop, killing it", extra=lease.facts)
                self.worker.kill()
                kill_at = now
            await asyncio.sleep(LOOK_SECONDS)
        return True


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


async def guarded(work: Coroutine[Any, Any, T], *, by: Coroutine[Any, Any, None]) -> T:
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
