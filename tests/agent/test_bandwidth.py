"""The cap on the agent's line, measured at the other end of it."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from agent.bandwidth import VARIABLE, cap
from agent.client import HubClient
from agent.errors import AgentFault
from agent.files import made
from agent.home import Home
from agent.hugging_face import _Slow
from federation.protocol import ArtifactRef
from tests.agent.fake_hub import FakeHub
from tests.agent.place import ROOTS

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


def asking(count: int) -> str:
    """A program that books a number of pieces of a tenth of a second, each in its turn."""
    return (
        "import sys, time; from pathlib import Path; from agent.bandwidth import cap\n"
        "line = cap(Path(sys.argv[1])).up; line.booked(0)\n"
        f"for _ in range({count}): time.sleep(line.booked({SPEED // 10}))"
    )


def test_all_processes_of_an_agent_share_the_cap(tmp_path: Path, capped: None) -> None:
    words = [sys.executable, "-c", asking(10), str(tmp_path)]
    path = os.pathsep.join(ROOTS)
    began = time.monotonic()
    several = [subprocess.Popen(words, env={**os.environ, "PYTHONPATH": path}) for _ in range(3)]
    assert [one.wait(30) for one in several] == [0, 0, 0]
    assert time.monotonic() - began >= 3.0  # with a cap for each of them it would be one second


def test_two_folders_are_two_agents(tmp_path: Path, capped: None) -> None:
    first, second = (cap(made(tmp_path / name)) for name in "ab")
    assert first.up.booked(10 * SPEED) > 9
    assert second.up.booked(0) < 1
    assert first.down.booked(0) < 1


def test_a_clock_that_was_set_back_holds_nobody_up(
    tmp_path: Path, capped: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = cap(tmp_path).up
    monkeypatch.setattr(time, "time", lambda: 1e6)
    line.booked(SPEED)
    monkeypatch.setattr(time, "time", lambda: 1e6 - 3600)
    assert line.booked(SPEED) == pytest.approx(1.0)


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
