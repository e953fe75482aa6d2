from __future__ import annotations

import asyncio

import pytest
from asgiref.sync import sync_to_async
from django.db import connection

from hub.common.models import Event
from hub.common.threads import off_loop


def is_connected() -> bool:
    return connection.connection is not None


@pytest.mark.django_db(transaction=True)
def test_a_connection_is_given_back_while_the_request_waits():
    async def story() -> tuple[int, bool]:
        count = await off_loop(Event.objects.count)()
        return count, await sync_to_async(is_connected)()

    assert asyncio.run(story()) == (0, False)


@pytest.mark.django_db(transaction=True)
def test_it_is_given_back_after_a_failure_too():
    def fail() -> None:
        Event.objects.count()
        raise RuntimeError

    async def story() -> bool:
        with pytest.raises(RuntimeError):
            await off_loop(fail)()
        return await sync_to_async(is_connected)()

    assert not asyncio.run(story())
