"""Between the agent and its hub: a proxy, and a hub that is away."""

from __future__ import annotations

import asyncio
import http.client
import itertools
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from urllib.parse import urlsplit

import pytest

from agent.client import HubClient
from agent.errors import Away
from agent.home import Home
from agent.journal import Entry
from agent.retries import FIRST_PAUSE, LONGEST_PAUSE, pauses, persistently
from agent.uploads import upload
from federation.protocol import PROTOCOL_HEADER, ArtifactRef
from tests.agent.fake_http import Answer, FaultyServer, Seen
from tests.agent.fake_hub import FakeHub

CONTENT = os.urandom(60_000)
HOP_BY_HOP = {"connection", "content-length", "date", "proxy-connection"}


class Proxy(FaultyServer):
    """Passes plain HTTP on, as a site's proxy does with absolute addresses."""

    def answer(self, seen: Seen) -> Answer:
        wanted = urlsplit(seen.path)
        onward = http.client.HTTPConnection(str(wanted.hostname), int(wanted.port or 80))
        headers = {n: v for n, v in seen.headers.items() if n.lower() not in HOP_BY_HOP}
        path = f"{wanted.path}?{wanted.query}" if wanted.query else wanted.path
        onward.request(seen.method, path, seen.body, {**headers, "Via": "1.1 site"})
        came = onward.getresponse()
        body, given = came.read(), dict(came.getheaders())
        onward.close()
        kept = {n: v for n, v in given.items() if n.lower() not in HOP_BY_HOP}
        return came.status, kept, body


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    with Proxy().serving() as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.delenv("NO_PROXY", raising=False)
        yield proxy


def test_all_of_it_goes_through_the_proxy_and_signatures_hold(
    quiet_hub: FakeHub, home: Home, entry: Entry, proxy: Proxy, tmp_path: object
) -> None:
    entry.update_file.write_bytes(CONTENT)
    digest = quiet_hub.put(CONTENT)
    fetched = tmp_path / "fetched"

    async def story() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            asked = {"agent_version": "0", "federations": [], "busy": True}
            assert (await hub.post("/api/v1/agent/leases?wait=0", asked)).status_code == 204
            sending = {"sha256": digest, "size_bytes": len(CONTENT)}
            await upload(hub, entry, **sending, show=lambda _: None)
            with fetched.open("ab") as file:
                await hub.download(ArtifactRef(**sending), file, lambda: None)

    asyncio.run(story())
    assert sha256(fetched.read_bytes()).hexdigest() == digest
    assert [u.content for u in quiet_hub.uploads.values()] == [CONTENT]
    assert len(proxy.seen) == len(quiet_hub.seen) - 2  # all but the enrolment of the fixture
    assert all(PROTOCOL_HEADER in seen.headers for seen in proxy.seen)


def test_a_proxy_that_cuts_an_upload_costs_a_part(
    quiet_hub: FakeHub, home: Home, entry: Entry, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.retries.FIRST_PAUSE", 0.01)
    entry.update_file.write_bytes(CONTENT)
    proxy.fail_next("PATCH", cut_request=1000)
    proxy.fail_next("HEAD", status=502)

    async def story() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            sending = {"sha256": sha256(CONTENT).hexdigest(), "size_bytes": len(CONTENT)}
            await upload(hub, entry, **sending, show=lambda _: None)

    asyncio.run(story())
    assert [u.content for u in quiet_hub.uploads.values()] == [CONTENT]


def test_pauses_grow_to_a_bound_and_differ_between_agents() -> None:
    ones, others = (list(itertools.islice(pauses(), 12)) for _ in range(2))
    full = [min(FIRST_PAUSE * 2**number, LONGEST_PAUSE) for number in range(12)]
    for pause, most in zip(ones + others, full + full, strict=True):
        assert most / 2 <= pause <= most
    assert ones != others


def test_while_the_hub_is_away_it_is_asked_less_and_less() -> None:
    asked: list[float] = []

    async def attempt() -> str:
        asked.append(time.monotonic())
        if len(asked) < 4:
            raise Away("ConnectError")
        return "back"

    assert asyncio.run(persistently(attempt)) == "back"
    gaps = [later - earlier for earlier, later in itertools.pairwise(asked)]
    for gap, most in zip(gaps, (0.5, 1.0, 2.0), strict=True):
        assert most / 2 <= gap < most + 0.3


def test_a_waiting_agent_is_not_hung_up_on_by_its_own_clock(quiet_hub: FakeHub, home: Home) -> None:
    """A long poll may take as long as it says, whatever other answers may take."""
    asked = {"agent_version": "0", "federations": []}

    async def story() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            path = "/api/v1/agent/leases?wait=1"
            with pytest.raises(Away, match="ReadTimeout"):
                await hub.post(path, asked, answer_seconds=0.3, patience=0)
            assert (await hub.post(path, asked, answer_seconds=5, patience=0)).status_code == 204

    asyncio.run(story())
