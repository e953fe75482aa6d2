"""The poller alone: its workers never start, and no broker answers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from agent.client import HubClient
from agent.errors import ReceiptInvalid, Refused
from agent.files import sha256_of
from agent.home import Home
from agent.journal import Entry, Outcome
from agent.poller import Poller
from agent.running import CeleryCrew
from agent.supervision import Child
from agent.worker import make_app
from federation.protocol import FailureIn
from federation.signatures import generate_private_key
from tests.agent.conftest import training
from tests.agent.fake_hub import FakeHub
from tests.agent.tiny import plan


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.slots.ABSENT_SECONDS", 0.5)
    monkeypatch.setattr("agent.retries.FIRST_PAUSE", 0.01)


def poll(home: Home, hub: FakeHub, *, until: Callable[[], object]) -> None:
    """Poll until something has happened at the hub."""

    async def run() -> None:
        stop = asyncio.Event()
        app = make_app("redis+socket:///nowhere/r.sock", home.identity().agent)
        crew = CeleryCrew(home, app, {"cpu@here": Child("worker", ["true"])})
        async with HubClient(home.identity().hub, home.private_key()) as client:
            poller = Poller(home=home, hub=client, crew=crew)
            polling = asyncio.create_task(poller.run_until(stop))
            while not polling.done():
                if until():
                    break
                await asyncio.sleep(0.02)
            stop.set()
            await polling

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_task_without_worker_does_not_keep_its_lease_for_ever(
    quiet_hub: FakeHub, home: Home
) -> None:
    task = quiet_hub.offer(training(quiet_hub, b"start", plan()))
    poll(home, quiet_hub, until=lambda: task.failures)
    assert (task.failures[0].code, task.failures[0].retry) == ("worker_absent", True)


def test_a_resumed_task_is_first_asked_after(quiet_hub: FakeHub, home: Home, entry: Entry) -> None:
    entry.cancel()
    task = quiet_hub.tasks[entry.offer.id]
    task.state = "cancelled"
    poll(home, quiet_hub, until=lambda: quiet_hub.leases)
    assert len(task.heartbeats) == 1
    assert not entry.folder.exists()


def test_a_failure_that_was_not_told_yet_is_told(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    entry.decide(Outcome(failure=FailureIn(fence=0, code="no_data", retry=False)))
    task = quiet_hub.tasks[entry.offer.id]
    poll(home, quiet_hub, until=lambda: task.failures)
    assert task.failures[0].code == "no_data"


def test_a_revoked_agent_ends(quiet_hub: FakeHub, home: Home) -> None:
    quiet_hub.keys.clear()
    with pytest.raises(Refused, match="unknown_key"):
        poll(home, quiet_hub, until=lambda: False)


def test_an_offer_that_is_not_understood_takes_no_work_and_ends_nothing(
    quiet_hub: FakeHub, home: Home
) -> None:
    quiet_hub.fail_next("leases", answer={"id": "of tomorrow"})
    poll(home, quiet_hub, until=lambda: len(quiet_hub.leases) >= 1)


def test_a_hub_with_another_key_than_the_pinned_one_is_not_worked_for(
    quiet_hub: FakeHub, home: Home, entry: Entry
) -> None:
    quiet_hub.key = generate_private_key()
    entry.update_file.write_bytes(b"x" * 5000)
    entry.decide(Outcome(submission=submission(home, entry)))
    with pytest.raises(ReceiptInvalid):
        poll(home, quiet_hub, until=lambda: False)
    assert entry.folder.exists()


def submission(home: Home, entry: Entry) -> dict[str, object]:
    from agent.tasks.base import Work
    from agent.tasks.train import _signed, _statement
    from federation.modelling import Trained

    work = Work(home, entry, "cpu")
    trained = Trained(examples=1, tokens=1, steps=1, loss=0.5, device_seconds=0.1)
    message = _signed(work, _statement(work, entry.offer.spec, trained, {}))
    assert message.statement.update_sha256 == sha256_of(entry.update_file)
    return message.model_dump(mode="json")
