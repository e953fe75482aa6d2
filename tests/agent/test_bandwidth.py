"""The cap on the agent's line, measured at the other end of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time

import httpx2
import pytest

from agent.bandwidth import VARIABLE, cap
from agent.client import HubClient
from agent.errors import AgentFault
from agent.home import Home
from agent.hugging_face import _Slow
from federation.protocol import ArtifactRef
from tests.agent.fake_hub import FakeHub

SPEED = 2_000_000
CONTENT = bytes(range(256)) * 16_000  # two seconds


@pytest.fixture
def capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(SPEED))


def seconds_at(size_bytes: int) -> object:
    """Within a tenth, and what connecting and signing take."""
    return pytest.approx(size_bytes / SPEED, abs=0.1 * size_bytes / SPEED + 0.05)


def patch(home: Home, content: bytes) -> None:
    async def ask() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            headers = {"Content-Type": "application/octet-stream"}
            await hub.request(
                "POST", "/api/v1/agent/leases?wait=0", content=content, headers=headers
            )

    asyncio.run(ask())


def fetched(home: Home, digest: str) -> bytes:
    async def ask() -> bytes:
        file = io.BytesIO()
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            wanted = ArtifactRef(sha256=digest, size_bytes=len(CONTENT))
            await hub.download(wanted, file, lambda: None)
        return file.getvalue()

    return asyncio.run(ask())


def test_what_goes_up_keeps_to_the_cap(quiet_hub: FakeHub, home: Home, capped: None) -> None:
    quiet_hub.fail_next("leases", answer={})
    began = time.monotonic()
    patch(home, CONTENT)
    assert time.monotonic() - began == seconds_at(len(CONTENT))
    assert (
        hashlib.sha256(quiet_hub.requests("leases")[0].body).digest()
        == hashlib.sha256(CONTENT).digest()
    )


def test_what_comes_down_keeps_to_the_cap(quiet_hub: FakeHub, home: Home, capped: None) -> None:
    digest = quiet_hub.put(CONTENT)
    began = time.monotonic()
    assert fetched(home, digest) == CONTENT
    assert time.monotonic() - began == seconds_at(len(CONTENT))


def test_all_connections_share_the_cap(quiet_hub: FakeHub, home: Home, capped: None) -> None:
    digest = quiet_hub.put(CONTENT)

    async def ask() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            wanted = ArtifactRef(sha256=digest, size_bytes=len(CONTENT))
            files = [hub.download(wanted, io.BytesIO(), lambda: None) for _ in range(2)]
            await asyncio.gather(*files)

    began = time.monotonic()
    asyncio.run(ask())
    assert time.monotonic() - began == seconds_at(2 * len(CONTENT))


def test_the_hugging_face_client_keeps_to_the_cap(capped: None) -> None:
    allowed = cap()
    assert allowed
    stream = _Slow(httpx2.ByteStream(CONTENT[:1_000_000]), allowed.down)
    began = time.monotonic()
    assert b"".join(stream) == CONTENT[:1_000_000]
    assert time.monotonic() - began == seconds_at(1_000_000)


def test_without_a_cap_nothing_waits(quiet_hub: FakeHub, home: Home) -> None:
    digest = quiet_hub.put(CONTENT)
    began = time.monotonic()
    assert fetched(home, digest) == CONTENT
    assert time.monotonic() - began < 1.0


@pytest.mark.parametrize("text", ["fast", "0", "-1", "inf", "nan"])
def test_a_cap_that_is_no_number_is_told(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, text)
    with pytest.raises(AgentFault, match=VARIABLE):
        cap()
