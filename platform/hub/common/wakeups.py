"""Wake-ups: who waits for work or for news hears of it at once instead of asking again.

A wake-up says only «look», never what: the database is the truth, and Redis may be away. Then
nobody is woken, every wait ends at its timeout, and work is found one poll later.

Channels: `organisation:<id>` (work for its agents), `run:<id>` and `federation:<id>` (news),
`ledger:<id>` (a new checkpoint).
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from functools import cache
from weakref import WeakKeyDictionary

import redis
import redis.asyncio
from django.conf import settings
from django.db import transaction
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = logging.getLogger(__name__)

PREFIX = "foedus:wake:"
READY_SECONDS = 1.0  # how long a new watch waits for the subscription before it looks
RECONNECT_SECONDS = 0.5
IDLE_SECONDS = 15.0  # silence after which the subscription proves that it lives


def wake(*channels: str) -> None:
    """Wake who waits on the channels, after the transaction commits. Never raises."""
    transaction.on_commit(lambda: _publish(channels), robust=True)


def _publish(channels: Iterable[str]) -> None:
    try:
        for channel in channels:
            _publisher().publish(PREFIX + channel, b"")
    except (RedisError, OSError) as away:
        logger.debug("no wake-up", extra={"cause": type(away).__name__})


@cache
def _publisher() -> redis.Redis:
    """A client that gives up at once: a request must not wait for a wake-up."""
    return redis.Redis.from_url(
        settings.REDIS_URL,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=Retry(NoBackoff(), 1),
    )


class Watch:
    """A place to wait; made before the look at the database, so that no wake-up slips between."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    async def wait(self, timeout: float) -> bool:  # noqa: ASYNC109 (a bound on the wait itself)
        """Wait for the next wake-up; True if there was one, also if it came before this call."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), timeout)
        was_woken = self._woken.is_set()
        self._woken.clear()
        return was_woken


class Listener:
    """The one Redis subscription of an event loop, and everybody who waits on it."""

    def __init__(self) -> None:
        self._watches: dict[str, set[Watch]] = defaultdict(set)
        self._ready = asyncio.Event()
        self._missed = False
        self._heard = 0
        self._task: asyncio.Task[None] | None = None

    @property
    def heard(self) -> int | None:
        """How many wake-ups there have been; None while some may be missed.

        Whoever notes it before a look at the database, and finds it unchanged once a watch stands,
        need not look again.
        """
        return self._heard if self._ready.is_set() else None

    @asynccontextmanager
    async def watch(self, channels: Iterable[str]) -> AsyncIterator[Watch]:
        """Register on the channels; look at the database inside, then `wait`."""
        watch, names = Watch(), tuple(channels)
        for name in names:
            self._watches[name].add(watch)
        try:
            await self._listening()
            yield watch
        finally:
            for name in names:
                self._watches[name].discard(watch)
                if not self._watches[name]:
                    del self._watches[name]

    async def wait(self, channels: Iterable[str], timeout: float) -> bool:  # noqa: ASYNC109
        """Wait for a wake-up on one of the channels; True if there was one."""
        async with self.watch(channels) as watch:
            return await watch.wait(timeout)

    async def close(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def _listening(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._listen(), name="wake-ups")
        if not self._ready.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), READY_SECONDS)

    async def _listen(self) -> None:
        """Hold the subscription for ever."""
        while True:
            try:
                await self._subscribe()
            except (RedisError, OSError) as away:
                logger.warning("wake-ups interrupted", extra={"cause": type(away).__name__})
            self._ready.clear()
            await asyncio.sleep(RECONNECT_SECONDS)
            self._missed = True

    async def _subscribe(self) -> None:
        client = redis.asyncio.Redis.from_url(
            settings.REDIS_URL, socket_connect_timeout=1, health_check_interval=IDLE_SECONDS
        )
        async with client, client.pubsub() as subscription:
            await subscription.psubscribe(f"{PREFIX}*")
            while True:
                message = await subscription.get_message(timeout=IDLE_SECONDS)
                if message and message["type"] == "psubscribe":
                    self._subscribed()
                elif message and message["type"] == "pmessage":
                    self._wake([message["channel"].decode().removeprefix(PREFIX)])

    def _subscribed(self) -> None:
        """From now on nothing is missed; what was during a break, everybody may look for."""
        self._ready.set()
        self._heard += 1
        if self._missed:
            self._wake(tuple(self._watches))
            self._missed = False

    def _wake(self, channels: Iterable[str]) -> None:
        self._heard += 1
        for channel in channels:
            for watch in self._watches.get(channel, ()):
                watch.wake()


_listeners: WeakKeyDictionary[asyncio.AbstractEventLoop, Listener] = WeakKeyDictionary()


def listener() -> Listener:
    """The listener of the running event loop; a process that serves has one."""
    loop = asyncio.get_running_loop()
    if loop not in _listeners:
        _listeners[loop] = Listener()
    return _listeners[loop]
