"""The agent dies, in every way that agents die; what it had begun ends once."""

from __future__ import annotations

from pathlib import Path

from tests.agent import tiny
from tests.agent.conftest import Spec, training
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place


def test_killed_in_mid_training_it_trains_again_and_submits_once(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    task = hub.offer(training(hub, adapter, tiny.plan(batch_size=1, epochs=8.0)))
    place.wait_until(lambda: place.step_of(task) > 3)
    place.kill()
    beats = len(task.heartbeats)
    place.start()
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    assert len(task.updates) == 1
    assert task.heartbeats[beats].fence == 1  # the first thing it did was to beat


def test_killed_before_and_after_submission_it_gets_its_receipt_without_training_again(
    hub: FakeHub, place: Place, train_spec: Spec, tmp_path: Path
) -> None:
    place.stop()
    place.start(failpoint("W09:before", tmp_path))
    task = hub.offer(train_spec)
    place.wait_until_dead()
    (entry,) = place.entries()
    assert entry.outcome
    sent = len(hub.requests("PATCH"))
    place.start(failpoint("W09:after", tmp_path))
    place.wait_until_dead()
    assert task.receipt
    file = place.home.receipts / f"{task.receipt.update}.json"
    assert not file.exists()
    place.start()
    place.wait_until(file.exists)
    assert len({seen.body for seen in hub.requests(f"{task.offer.id}/updates")}) == 1
    assert len(hub.requests("PATCH")) == sent


def failpoint(point: str, folder: Path) -> dict[str, str]:
    mark = folder / point.replace(":", "-")
    return {"FOEDUS_FAILPOINT": point, "FOEDUS_FAILPOINT_MARK": str(mark)}


def test_a_worker_that_dies_is_replaced_and_the_task_goes_on(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    task = hub.offer(training(hub, adapter, tiny.plan(batch_size=1, epochs=8.0)))
    place.wait_until(lambda: place.step_of(task) > 3)
    place.child("agent.worker").kill()
    hub.wait_for(lambda: task.receipt)
    assert len(task.updates) == 1


def test_told_to_stop_it_hands_its_task_back_and_leaves_nothing(
    hub: FakeHub, place: Place, long_spec: Spec
) -> None:
    task = hub.offer(long_spec)
    place.wait_until(lambda: place.step_of(task) > 0)
    assert place.stop() == 0
    assert task.releases == 1
    assert place.entries() == []


def test_told_to_stop_while_sending_it_sends_first(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    hub.fail_next("POST .*/updates", status=503, headers={"Retry-After": "1"})
    task = hub.offer(train_spec)
    hub.wait_for(lambda: hub.requests(f"{task.offer.id}/updates"))
    assert place.stop() == 0
    assert task.receipt
    assert place.entries() == []
