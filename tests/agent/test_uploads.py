from __future__ import annotations

import asyncio
import random
from hashlib import sha256

import pytest

from agent.client import HubClient
from agent.errors import Refused
from agent.home import Home
from agent.journal import Entry
from agent.uploads import largest_part, upload
from federation.protocol import Progress
from tests.agent.fake_hub import FakeHub, Upload

CONTENT = random.Random(5).randbytes(300_000)


@pytest.fixture(autouse=True)
def update_file(entry: Entry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.retries.FIRST_PAUSE", 0.01)
    monkeypatch.setattr("agent.retries.LONGEST_PAUSE", 0.02)
    entry.update_file.write_bytes(CONTENT)


def send(home: Home, entry: Entry, content: bytes = CONTENT) -> list[Progress]:
    shown: list[Progress] = []
    digest = sha256(content).hexdigest()

    async def run() -> None:
        async with HubClient(home.identity().hub, home.private_key()) as hub:
            await upload(hub, entry, sha256=digest, size_bytes=len(content), show=shown.append)

    asyncio.run(run())
    return shown


def only_upload(hub: FakeHub) -> Upload:
    (upload,) = [upload for upload in hub.uploads.values() if not upload.is_closed]
    return upload


def received(hub: FakeHub) -> int:
    return sum(len(seen.body) for seen in hub.requests("PATCH"))


def test_all_bytes_arrive_once(quiet_hub: FakeHub, home: Home, entry: Entry) -> None:
    shown = send(home, entry)
    assert only_upload(quiet_hub).content == CONTENT
    assert received(quiet_hub) == len(CONTENT)
    assert shown[-1].step == shown[-1].steps == len(quiet_hub.requests("PATCH"))


@pytest.mark.parametrize("seed", range(3))
def test_a_cut_costs_less_than_one_part(
    quiet_hub: FakeHub, home: Home, entry: Entry, seed: int
) -> None:
    chosen = random.Random(seed)
    cuts = 20
    for _ in range(cuts):  # at any byte of a part, or before its answer
        lost = chosen.random() < 0.3
        how = {"is_lost": True} if lost else {"cut_request": chosen.randrange(4096)}
        quiet_hub.fail_next("PATCH", **how)
    send(home, entry)
    assert only_upload(quiet_hub).content == CONTENT
    assert received(quiet_hub) < len(CONTENT) + cuts * quiet_hub.chunk_bytes
    assert len(quiet_hub.requests("POST .*/uploads")) == 1


def test_after_a_restart_only_the_rest_is_sent(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    quiet_hub.fail_next("PATCH", status=403, code="stop")
    with pytest.raises(Refused):
        send(home, entry)
    only_upload(quiet_hub).content += CONTENT[:200_000]
    send(home, entry)
    assert only_upload(quiet_hub).content == CONTENT
    assert received(quiet_hub) == 4096 + 100_000


def test_what_the_hub_has_is_not_sent(quiet_hub: FakeHub, home: Home, entry: Entry) -> None:
    send(home, entry)
    entry.drop_session()
    before = received(quiet_hub)
    send(home, entry)
    assert received(quiet_hub) == before


def test_a_session_that_the_hub_has_closed_is_begun_again(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    quiet_hub.fail_next("PATCH", status=403, code="stop")
    with pytest.raises(Refused):
        send(home, entry)
    only_upload(quiet_hub).is_closed = True
    send(home, entry)
    assert only_upload(quiet_hub).content == CONTENT


def test_bytes_that_never_match_are_given_up(quiet_hub: FakeHub, home: Home, entry: Entry) -> None:
    entry.update_file.write_bytes(b"x" + CONTENT[1:])
    with pytest.raises(Refused, match="digest_mismatch"):
        send(home, entry)


@pytest.mark.parametrize(
    ("size_bytes", "chunk_bytes", "expected"),
    [
        (1 << 30, 16 << 20, 16 << 20),
        (256 << 20, 16 << 20, 8 << 20),
        (10 << 20, 16 << 20, 1 << 20),
        (10 << 20, 4096, 4096),
    ],
)
def test_a_part_is_a_32nd_of_the_whole_within_bounds(
    size_bytes: int, chunk_bytes: int, expected: int
) -> None:
    assert largest_part(size_bytes, chunk_bytes) == expected


def test_a_long_cut_in_a_large_upload_costs_little(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    """Counted is what was announced to be sent, which is at least what was sent."""
    quiet_hub.chunk_bytes = 16 << 20
    content = CONTENT * 214  # 64 MB
    entry.update_file.write_bytes(content)
    quiet_hub.fail_next("PATCH", times=11, status=0)  # eleven parts pass
    quiet_hub.fail_next("PATCH", cut_request=1_500_000)
    quiet_hub.fail_next("HEAD", times=40, cut_request=0)  # and then nobody is there for a while
    send(home, entry, content)
    assert only_upload(quiet_hub).content == content
    announced = sum(int(seen.headers["Content-Length"]) for seen in quiet_hub.requests("PATCH"))
    assert len(content) < announced <= 1.05 * len(content)


def test_parts_are_small_on_a_slow_line(
    quiet_hub: FakeHub, home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What takes longer than a signature lives would never arrive."""
    quiet_hub.chunk_bytes = 16 << 20
    monkeypatch.setattr("agent.uploads.PART_SECONDS", 0.1)
    monkeypatch.setenv("AGENT_BYTES_PER_SECOND", "1000000")
    send(home, entry)
    sizes = [len(seen.body) for seen in quiet_hub.requests("PATCH")]
    assert sum(sizes) == len(CONTENT)
    assert max(sizes) < 130_000
