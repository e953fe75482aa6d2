from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings as live
from django.db import connection, transaction

from hub.common import wakeups
from hub.common.wakeups import Listener, wake

pytestmark = pytest.mark.django_db(transaction=True)


@asynccontextmanager
async def listening() -> AsyncIterator[Listener]:
    listener = Listener()
    try:
        yield listener
    finally:
        await listener.close()


@sync_to_async
def awake(*channels: str) -> None:
    wake(*channels)
    connection.close()


def test_who_waits_is_woken_at_once():
    async def story() -> float:
        async with listening() as listener, listener.watch(["run:1", "run:2"]) as watch:
            start = time.perf_counter()
            await awake("run:2")
            assert await watch.wait(5)
            return time.perf_counter() - start

    assert asyncio.run(story()) < 1


def test_a_wake_up_before_the_wait_is_not_lost():
    async def story() -> tuple[bool, bool]:
        async with listening() as listener, listener.watch(["run:1"]) as watch:
            await awake("run:1")
            await asyncio.sleep(0.2)
            return await watch.wait(0.01), await watch.wait(0.01)

    assert asyncio.run(story()) == (True, False)


def test_other_channels_wake_nobody():
    async def story() -> bool:
        async with listening() as listener:
            await listener.wait(["run:1"], timeout=0.1)  # starts the subscription
            await asyncio.wait_for(listener._ready.wait(), 30)
            waiting = asyncio.create_task(listener.wait(["run:1"], timeout=0.3))
            await asyncio.sleep(0.1)
            await awake("run:12")
            return await waiting

    assert not asyncio.run(story())


def test_a_thousand_wait_on_one_subscription():
    def subscribers() -> set[str]:
        with redis.Redis.from_url(live.REDIS_URL) as client:
            return {found["id"] for found in client.client_list(_type="pubsub")}

    async def story() -> int:
        others = subscribers()
        async with listening() as listener:
            names = [f"organisation:{n % 10}" for n in range(1000)]
            waits = [asyncio.create_task(listener.wait([name], timeout=5)) for name in names]
            await asyncio.wait_for(listener._ready.wait(), 5)
            ours = subscribers() - others
            await awake(*{f"organisation:{n}" for n in range(10)})
            assert all(await asyncio.gather(*waits))
            assert not listener._watches
            return len(ours)

    assert asyncio.run(story()) == 1


def test_nobody_is_woken_before_the_commit():
    async def story() -> list[bool]:
        async with listening() as listener, listener.watch(["run:1"]) as watch:
            heard = []

            def write() -> None:
                with transaction.atomic():
                    wake("run:1")
                    time.sleep(0.2)
                connection.close()

            writing = asyncio.create_task(sync_to_async(write)())
            heard.append(await watch.wait(0.1))
            await writing
            heard.append(await watch.wait(2))
            return heard

    assert asyncio.run(story()) == [False, True]


def test_a_subscription_that_breaks_comes_back_and_wakes_everybody():
    async def story() -> bool:
        async with listening() as listener, listener.watch(["run:1"]) as watch:
            client = redis.Redis.from_url(live.REDIS_URL)
            client.client_kill_filter(_type="pubsub")
            client.close()
            assert await watch.wait(5)
            await awake("run:1")
            return await watch.wait(5)

    assert asyncio.run(story())


@pytest.fixture
def away(settings, tmp_path) -> None:
    """Redis is not there."""
    settings.REDIS_URL = f"unix://{tmp_path}/r.sock"
    forget_publisher()
    yield
    forget_publisher()


def forget_publisher() -> None:
    wakeups._publisher().close()
    wakeups._publisher.cache_clear()


def test_without_redis_nothing_is_raised_and_waits_time_out(away):
    async def story() -> float:
        start = time.perf_counter()
        async with listening() as listener:
            await awake("run:1")
            assert not await listener.wait(["run:1"], timeout=0.1)
        return time.perf_counter() - start

    assert asyncio.run(story()) < 3
