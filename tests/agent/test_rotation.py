from __future__ import annotations

import asyncio
import os
import stat
import time

import pytest

from agent.client import HubClient
from agent.errors import AgentFault, Away, Refused
from agent.files import lock
from agent.home import Home
from agent.rotation import DAYS_OF_USE, finish, is_due, rotate
from federation.signatures import key_id, public_key_of
from tests.agent.fake_hub import FakeHub

STANDING = "/api/v1/agent/standing"


def present(home: Home) -> str:
    return key_id(public_key_of(home.private_key()))


def rotated(home: Home) -> str:
    identity, _ = asyncio.run(rotate(home, patience=0))
    return identity.key_id


def opens(hub: FakeHub, key: bytes) -> bool:
    async def ask() -> bool:
        async with HubClient(hub.url, key) as client:
            try:
                return (await client.request("GET", STANDING, patience=0)).is_success
            except Refused:
                return False

    return asyncio.run(ask())


def interrupted(home: Home, hub: FakeHub) -> None:
    """The hub has the new key, and the agent died before it heard so."""
    hub.fail_next("POST .*/keys", is_lost=True)
    with pytest.raises(Away):
        rotated(home)
    assert home.next_key_file.exists()


def test_a_new_key_takes_the_old_ones_place(quiet_hub: FakeHub, home: Home) -> None:
    old = home.private_key()
    assert rotated(home) == present(home) == home.identity().key_id != key_id(public_key_of(old))
    assert not home.next_key_file.exists()
    assert stat.S_IMODE(home.key_file.stat().st_mode) == 0o600
    assert opens(quiet_hub, old)
    assert opens(quiet_hub, home.private_key())


@pytest.mark.parametrize("is_old_good", [True, False])
def test_a_rotation_that_was_cut_short_is_finished_by_either_key(
    quiet_hub: FakeHub, home: Home, *, is_old_good: bool
) -> None:
    before = present(home)
    interrupted(home, quiet_hub)
    assert present(home) == before
    named = key_id(public_key_of(home.next_key()))
    if not is_old_good:
        quiet_hub.expire(before)
    asyncio.run(finish(home, asyncio.Event()))
    assert present(home) == home.identity().key_id == named
    assert not home.next_key_file.exists()


def test_killed_before_the_hub_heard_of_it_the_same_new_key_is_sent_again(
    quiet_hub: FakeHub, home: Home
) -> None:
    quiet_hub.fail_next("POST .*/keys", cut_request=10)
    with pytest.raises(Away):
        rotated(home)
    waiting = home.next_key()
    rotated(home)
    assert home.private_key() == waiting


def test_killed_after_the_new_key_got_its_name_the_identity_is_put_right(
    quiet_hub: FakeHub, home: Home
) -> None:
    stale = home.identity()
    rotated(home)
    home.keep_identity(stale)
    asyncio.run(finish(home, asyncio.Event()))
    assert home.identity().key_id == present(home)


def test_nothing_waits_where_nothing_was_cut_short(quiet_hub: FakeHub, home: Home) -> None:
    before = present(home)
    asyncio.run(finish(home, asyncio.Event()))
    assert present(home) == before
    assert not quiet_hub.requests("POST .*/keys")


def test_an_agent_that_is_told_to_stop_does_not_wait_for_its_hub(home: Home) -> None:
    home.next_key()
    home.keep_identity(home.identity().model_copy(update={"hub": "http://127.0.0.1:9"}))

    async def stopped() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.2, stop.set)
        await finish(home, stop)

    began = time.monotonic()
    asyncio.run(stopped())
    assert time.monotonic() - began < 5


def test_a_client_signs_with_the_key_of_the_moment(quiet_hub: FakeHub, home: Home) -> None:
    async def work() -> None:
        async with HubClient(quiet_hub.url, home.private_key) as client:
            await client.request("GET", STANDING, patience=0)
            before = present(home)
            await rotate(home, patience=0)
            quiet_hub.expire(before)
            await client.request("GET", STANDING, patience=0)

    asyncio.run(work())


def test_one_rotation_at_a_time(home: Home) -> None:
    with (home.folder / "key.lock").open("w") as file:
        assert lock(file, seconds=0)
        with pytest.raises(AgentFault, match="already"):
            rotated(home)


def test_a_key_is_due_after_ninety_days(home: Home) -> None:
    assert not is_due(home)
    old = time.time() - (DAYS_OF_USE + 1) * 86_400
    os.utime(home.key_file, (old, old))
    assert is_due(home)
