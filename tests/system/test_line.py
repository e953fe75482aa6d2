"""The line between an agent and its hub is cut in the middle of a large upload, or is not theirs.

`make test` cuts an update of 24 MB for three seconds; `make crash` also one of 256 MB for a
minute, with the leases that an installation has, and where the machine lets us by pulling the
cable of a network namespace.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from uuid import UUID

import pytest

from tests.system.lines import Proxy, allows_cables, cable, proxy
from tests.system.people import Hand
from tests.system.points import is_exhaustive
from tests.system.processes import wait_until
from tests.system.sites import AGENT, Site, site_at
from tests.system.stack import Stack

pytestmark = [pytest.mark.system, pytest.mark.crash]

MEGABYTE = 1_000_000
HASTY = {"LEASE_SECONDS": "2", "HEARTBEAT_SECONDS": "0.5"}
USUAL = {"LEASE_SECONDS": "60", "HEARTBEAT_SECONDS": "15"}
REFUSED = 4  # the agent's exit code


@pytest.fixture(scope="module")
def site(stack: Stack) -> Iterator[Site]:
    with proxy() as line, site_at(stack, line, "far", HASTY) as site:
        yield site


def test_an_upload_that_is_cut_goes_on_where_it_was(site: Site) -> None:
    """For longer than a lease lasts: trained again, the update is the same, and half is there."""
    resumes(site, megabytes=24, seconds=3, seed=1)


if is_exhaustive():
    LINES = {"proxy": proxy, **({"cable": cable} if allows_cables() else {})}

    @pytest.mark.timeout(900)
    @pytest.mark.parametrize("name", LINES)
    def test_a_large_one_goes_on_after_a_minute(stack: Stack, name: str) -> None:
        with LINES[name]() as line, site_at(stack, line, f"far-{name}", USUAL) as site:
            resumes(site, megabytes=256, seconds=60, seed=3 + list(LINES).index(name))


def resumes(site: Site, *, megabytes: int, seconds: float, seed: int) -> None:
    """`seed`: what another run came to already is not sent again."""
    stack, line, size = site.stack, site.line, megabytes * MEGABYTE
    before = line.up
    run = site.start_run(megabytes=megabytes, seed=seed)
    line.cut(at=size // 2)
    time.sleep(seconds)
    line.heal()
    healed = time.monotonic()
    assert stack.wait_for_end(run, seconds=240) == "completed", site.logged()[-3000:]
    took = time.monotonic() - healed
    sent = line.up - before
    print(f"{megabytes} MB: {sent / size:.4f} of it sent, ended {took:.1f} s after the cut")
    assert size < sent <= 1.05 * size
    (one,) = stack.ada.all("/rounds", run=str(run))
    assert one["summary"] == "Closed with 1 of 1."
    assert [upload["state"] for upload in site.uploads()] == ["complete"]
    assert len(stack.sql(UPDATES, run)) == 1


UPDATES = """
    SELECT u.artifact_id FROM runs_update u JOIN runs_round r ON r.id = u.round_id
    WHERE r.run_id = %s
"""


def test_revoked_in_the_middle_of_an_upload_it_can_send_nothing_more(site: Site) -> None:
    stack, line = site.stack, site.line
    assert isinstance(line, Proxy)
    run = site.start_run(megabytes=24, seed=2)
    line.hold(at=12 * MEGABYTE)
    upload = site.uploads()[0]
    assert upload["state"] == "open"
    stack.grace_herself.post(f"/agents/{site.agent}/revoke", {"reason": "its disk was stolen"})
    line.release()
    assert stack.supervisor.wait(AGENT, seconds=60) == REFUSED, site.logged()[-3000:]
    assert next_part(site, upload["id"], upload["offset"]) == 401
    wait_until(lambda: site.uploads()[0]["state"] == "closed")
    assert nothing_is_stored(stack, run, upload)
    assert stack.ada.post(f"/runs/{run}/cancel", {"reason": "enough"})["state"] == "cancelled"


def next_part(site: Site, upload: UUID, offset: int) -> int:
    """What the hub answers to the agent's key, which whoever has its disk has too."""
    hand = Hand(site.url, site.home.private_key())
    named = {
        "Content_Type": "application/offset+octet-stream",
        "Tus_Resumable": "1.0.0",
        "Upload_Offset": str(offset),
    }
    with hand.http:
        return hand.send("PATCH", f"uploads/{upload}", b"x" * 4096, **named).status_code


def nothing_is_stored(stack: Stack, run: UUID, upload: Mapping[str, object]) -> bool:
    digest = str(upload["sha256"])
    home = stack.folder / "hub"
    rows = [
        *stack.sql(UPDATES, run),
        *stack.sql("SELECT 1 FROM catalogue_artifact WHERE sha256 = %s", digest),
    ]
    files = [
        *(home / "uploads").glob(f"{upload['id']}*"),
        *(home / "blobs" / digest[:2]).glob(f"{digest[2:]}*"),
    ]
    return not rows and not files
