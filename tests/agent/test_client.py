from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest

from agent.client import HubClient
from agent.errors import Away, ClockDiffers, Refused
from agent.home import Home
from tests.agent.fake_hub import FakeHub

LEASE = {"agent_version": "0.1.0", "federations": [], "busy": True}


def post(home: Home, **options: Any) -> httpx.Response:
    async def ask() -> httpx.Response:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            return await hub.post("/api/v1/agent/leases?wait=0", LEASE, **options)

    return asyncio.run(ask())


def nonces(hub: FakeHub) -> set[str]:
    inputs = [seen.headers["Signature-Input"] for seen in hub.requests("leases")]
    return {text.partition('nonce="')[2].partition('"')[0] for text in inputs}


@pytest.mark.parametrize(
    "fault", [{"status": 503}, {"status": 502}, {"cut_request": 3}, {"is_lost": True}]
)
def test_a_try_that_failed_is_repeated_with_a_new_nonce_and_the_same_key(
    quiet_hub: FakeHub, home: Home, fault: dict[str, Any]
) -> None:
    quiet_hub.fail_next("leases", **fault)
    assert post(home, key="once").status_code == 204
    tries = quiet_hub.requests("leases")
    assert [seen.headers["Idempotency-Key"] for seen in tries] == ["once", "once"]
    assert len(nonces(quiet_hub)) == 2


def test_the_hub_is_left_alone_for_as_long_as_it_asks(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=429, headers={"Retry-After": "1"})
    began = time.monotonic()
    post(home)
    assert time.monotonic() - began >= 1


def test_a_refusal_has_the_problems_status_and_code(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=403, code="forbidden")
    with pytest.raises(Refused) as refusal:
        post(home)
    assert (refusal.value.status, refusal.value.code) == (403, "forbidden")
    assert not refusal.value.is_final


def test_a_hub_that_has_moved_says_where(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=301, headers={"Location": "https://new.example.org"})
    with pytest.raises(Refused, match=r"https://new\.example\.org"):
        post(home)


def test_a_revoked_key_is_final(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=401, code="revoked_key")
    with pytest.raises(Refused) as refusal:
        post(home)
    assert refusal.value.is_final


def test_patience_has_an_end(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=503, times=99)
    with pytest.raises(Away, match="http_503"):
        post(home, patience=0.5)


def test_a_wrong_clock_is_called_by_its_name(quiet_hub: FakeHub, home: Home) -> None:
    past = {"Date": "Thu, 01 Jan 2026 00:00:00 GMT"}
    quiet_hub.fail_next("leases", status=401, code="clock_skew", headers=past)
    with pytest.raises(ClockDiffers, match=r"clock is .* ahead of the hub's"):
        post(home, patience=0)


def test_a_request_that_somebody_repeated_is_signed_anew(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.fail_next("leases", status=401, code="replayed_nonce")
    assert post(home).status_code == 204
