"""What tasks have used: durable, counted once, and never bounded too late by more than one task."""

from __future__ import annotations

import asyncio
import tempfile
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent import usage
from agent.files import write_whole
from agent.home import Home
from agent.journal import Entry, Journal, Outcome
from agent.policy import Policy, Use
from agent.policy.standing import Standing
from federation.protocol import FailureIn, TaskOffer
from federation.protocol_values import ValuesStatement
from tests.agent.conftest import Spec, common, training
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place
from tests.agent.tiny import plan

DAY = date(2026, 3, 4)
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def place_base(home: Home, entry: Entry, content: bytes) -> None:
    """As if the worker had fetched the base model."""
    from hashlib import sha256

    base = entry.offer.spec.base
    folder = home.cache / "hub" / "snapshot"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(content)
    note = home.cache / "bases" / sha256(f"{base.repo}@{base.revision}".encode()).hexdigest()
    note.parent.mkdir(exist_ok=True)
    write_whole(note, "hub/snapshot")


def submitting(size_bytes: int) -> Outcome:
    return Outcome(submission={"statement": {"size_bytes": size_bytes}})


def test_what_is_fetched_and_sent_is_counted_once(home: Home, entry: Entry) -> None:
    for _ in range(3):  # begun, and resumed twice
        usage.begin(home, entry, DAY)
        usage.count(home, entry, DAY, device_seconds=10.0)
    start = entry.offer.spec.start.size_bytes
    assert usage.read(home).today(DAY) == Use(30.0, 0, start)
    place_base(home, entry, b"x" * 1000)
    entry.decide(submitting(77))
    for day in (DAY, DAY + timedelta(1)):  # it ends after midnight, and is looked at again
        usage.begin(home, entry, day)
        usage.count(home, entry, day)
    assert usage.read(home).today(DAY) == Use(30.0, 77, start + 1000)
    assert usage.read(home).today(DAY + timedelta(1)) == Use()
    assert usage.read(home).total() == Use(30.0, 77, start + 1000)


def test_sums_for_others_are_no_update_and_count_as_nothing_sent(home: Home, entry: Entry) -> None:
    """What is signed of a valuation names no file."""
    statement = ValuesStatement.model_construct(valuation=uuid4(), counts=(5, 5, 5, 5))
    usage.begin(home, entry, DAY)
    entry.decide(Outcome(submission={"statement": statement.model_dump(mode="json")}))
    usage.count(home, entry, DAY, device_seconds=1.0)
    assert usage.read(home).total().sent_bytes == 0


def test_what_is_here_already_costs_nothing(home: Home, entry: Entry) -> None:
    place_base(home, entry, b"x" * 1000)
    artifact = home.cache / "artifacts" / entry.offer.spec.start.sha256
    artifact.parent.mkdir()
    artifact.write_bytes(b"start")
    usage.begin(home, entry, DAY)
    entry.decide(Outcome(failure=FailureIn(fence=0, code="no_data")))
    usage.count(home, entry, DAY, device_seconds=1.0)
    assert usage.read(home).total() == Use(1.0, 0, 0)


def test_use_belongs_to_its_day_and_federation(home: Home, entry: Entry) -> None:
    usage.begin(home, entry, DAY)
    usage.count(home, entry, DAY, device_seconds=60.0)
    usage.count(home, entry, DAY + timedelta(1), device_seconds=30.0)
    book = usage.read(home)
    assert [book.today(DAY + timedelta(n)).device_seconds for n in range(3)] == [60.0, 30.0, 0]
    assert [book.total(slug).device_seconds for slug in (None, "coast", "hills")] == [90, 90, 0]


def test_old_tasks_become_sums_and_open_ones_stay(home: Home, entry: Entry) -> None:
    closed, later = (copied(home, entry, federation="hills") for _ in range(2))
    for task in (entry, closed):
        usage.begin(home, task, DAY)
        usage.count(home, task, DAY, device_seconds=60.0)
    closed.close()
    usage.begin(home, later, DAY + timedelta(30))
    book = usage.read(home)
    assert book.tasks.keys() == {entry.offer.id, later.offer.id}
    assert [book.total(slug).device_seconds for slug in ("coast", "hills", None)] == [60, 60, 120]


def offered() -> TaskOffer:
    """An offer without a hub."""
    start = {"sha256": "0" * 64, "size_bytes": 9}
    spec = {"type": "train", **common(plan()), "start": start, "rank": 2, "seed": 11}
    return TaskOffer.model_validate(
        {
            "id": uuid4(),
            "federation": "coast",
            "federation_name": "Coast",
            "run": uuid4(),
            "round": 1,
            "fence": 1,
            "lease_expires_at": NOW,
            "heartbeat_seconds": 1.0,
            "spec": spec,
        }
    )


def copied(home: Home, entry: Entry, **facts: object) -> Entry:
    """Another task like it, in the journal."""
    return Journal(home.tasks).open(entry.offer.model_copy(update={"id": uuid4(), **facts}))


def test_the_meter_counts_the_time_that_the_worker_holds_the_task(
    home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent.usage.LOOK_SECONDS", 0.02)
    monkeypatch.setattr("agent.usage.KEEP_SECONDS", 0.1)

    async def work() -> tuple[float, float]:
        meter = usage.Meter(home, entry, lambda: DAY)
        async with meter.running():
            await asyncio.sleep(0.3)  # nobody works yet
            began = time.monotonic()
            with entry.worked_on():
                await asyncio.sleep(0.5)
                kept = usage.read(home).today(DAY).device_seconds
            return kept, time.monotonic() - began

    usage.begin(home, entry, DAY)
    kept, worked = asyncio.run(work())
    counted = usage.read(home).today(DAY).device_seconds
    assert 0.2 < kept <= counted
    assert counted == pytest.approx(worked, abs=0.15)


@pytest.mark.parametrize("idle_seconds", [0.0, 0.5])
def test_the_meter_counts_what_lies_between_two_looks(
    home: Home, entry: Entry, monkeypatch: pytest.MonkeyPatch, idle_seconds: float
) -> None:
    monkeypatch.setattr("agent.usage.LOOK_SECONDS", 0.4)

    async def work() -> float:
        async with usage.Meter(home, entry, lambda: DAY).running():
            await asyncio.sleep(0.1)
            began = time.monotonic()
            with entry.worked_on():
                await asyncio.sleep(0.6)  # one look is in it
                ended = time.monotonic()
            await asyncio.sleep(idle_seconds)
        return ended - began

    usage.begin(home, entry, DAY)
    worked = asyncio.run(work())
    assert worked <= usage.read(home).today(DAY).device_seconds < worked + 0.8


def test_a_meter_that_cannot_write_ends_no_task(
    home: Home, entry: Entry, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> str:
        async with usage.Meter(home, entry, lambda: DAY).running():
            (home.folder / usage.FILE).write_text("{")
            return "done"

    assert asyncio.run(work()) == "done"
    assert "use not written down" in caplog.text


quarters = st.integers(0, 40).map(lambda number: number / 4)  # of an hour: they add up exactly


@given(ceiling=quarters, costs=st.lists(quarters.filter(bool), max_size=12), own=st.booleans())
def test_a_budget_is_exceeded_by_no_more_than_one_task(ceiling, costs, own) -> None:
    """Tasks of any cost, asked for one after the other, until the budget closes."""
    section = {"per_day": {"device_hours": ceiling}}
    policy = Policy.model_validate({"federation": {"coast": section}} if own else section)
    with tempfile.TemporaryDirectory() as folder:
        home, used, last = Home.found(Path(folder)), 0.0, 0.0
        for cost in costs:
            if Standing(policy, {}, usage.read(home), NOW).closed("coast"):
                assert used >= ceiling
                break
            entry = Journal(home.tasks).open(offered())
            usage.begin(home, entry, NOW.date())
            usage.count(home, entry, NOW.date(), device_seconds=cost * 3600)
            entry.close()
            used, last = used + cost, cost
        assert used < ceiling + last or used == 0
        tomorrow = Standing(policy, {}, usage.read(home), NOW + timedelta(1))
        assert bool(tomorrow.closed("coast")) == (ceiling == 0)


def test_evaluations_fetch_each_candidate_once(home: Home, quiet_hub: FakeHub) -> None:
    reference = {"sha256": quiet_hub.put(b"adapter"), "size_bytes": 7}
    candidates = [{"name": name, "adapter": reference} for name in ("0", "1")]
    spec = {"type": "evaluate", **common(plan()), "candidates": candidates}
    entry = Journal(home.tasks).open(quiet_hub.offer(spec).offer)
    usage.begin(home, entry, DAY)
    assert usage.read(home).total() == Use(0.0, 0, 7)


def test_a_control_variate_is_fetched_too(home: Home, quiet_hub: FakeHub) -> None:
    control = {"sha256": quiet_hub.put(b"control"), "size_bytes": 7}
    task = quiet_hub.offer(training(quiet_hub, b"start", plan(), control=control))
    usage.begin(home, Journal(home.tasks).open(task.offer), DAY)
    assert usage.read(home).tasks[task.offer.id].fetches_bytes == len(b"start") + 7


def test_a_running_agent_writes_down_what_its_tasks_use(
    hub: FakeHub, place: Place, train_spec: Spec, base: Path
) -> None:
    task = hub.offer(train_spec)
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    book = usage.read(place.home)
    (use,) = book.tasks[task.offer.id].days.values()
    assert use.sent_bytes == task.updates[0].statement.size_bytes
    assert use.device_seconds > 0
    weights = (base / "model.safetensors").stat().st_size
    assert book.total().received_bytes > weights  # once by this test or one before it
    again = hub.offer(train_spec)
    hub.wait_for(lambda: again.receipt)
    place.wait_until_idle()
    assert usage.read(place.home).tasks[again.offer.id].days.popitem()[1].received_bytes == 0
