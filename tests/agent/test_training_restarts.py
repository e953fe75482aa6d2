"""The agent dies, in every way that agents die; what it had begun ends once."""

from __future__ import annotations

from pathlib import Path

from tests.agent import tiny
from tests.agent.conftest import Spec, training
from tests.agent.fake_hub import FakeHub, Task
from tests.agent.place import Place

EVERY_STEP = {"AGENT_CHECKPOINT_SECONDS": "0"}
STEPS = 480


def long_training(hub: FakeHub, adapter: bytes) -> Spec:
    return training(hub, adapter, tiny.plan(batch_size=1, epochs=STEPS / 60))


def test_killed_in_mid_training_it_goes_on_from_its_checkpoint_and_submits_once(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    spec = long_training(hub, adapter)
    place.stop()
    place.start(EVERY_STEP)
    task = hub.offer(spec)
    place.wait_until(lambda: place.step_of(task) > STEPS / 2)
    place.kill()
    beats, reached = len(task.heartbeats), place.step_of(task)
    place.start(EVERY_STEP)
    steps: set[int] = set()
    place.wait_until(lambda: steps.add(place.step_of(task)) or task.receipt)
    place.wait_until_idle()
    assert not steps & set(range(1, reached))
    assert len(task.updates) == 1
    assert task.heartbeats[beats].fence == 1  # the first thing it did was to beat
    assert sent_bytes(hub, task) == sent_bytes(hub, undisturbed(hub, place, spec))


def undisturbed(hub: FakeHub, place: Place, spec: Spec) -> Task:
    task = hub.offer(spec)
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    return task


def sent_bytes(hub: FakeHub, task: Task) -> str:
    return task.updates[0].statement.update_sha256


def test_when_the_task_is_over_its_checkpoint_is_gone(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    place.stop()
    place.start(EVERY_STEP)
    task = hub.offer(long_training(hub, adapter))
    place.wait_until(lambda: list(place.home.tasks.glob("*/checkpoint.safetensors")))
    task.cancel = "the run was cancelled"
    hub.wait_for(lambda: task.releases)
    place.wait_until_idle()
    place.wait_until(lambda: not list(place.home.folder.rglob("*checkpoint*")))
    place.stop()


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


def test_a_task_that_comes_again_after_a_stop_goes_on_from_its_checkpoint(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    spec = long_training(hub, adapter)
    place.stop()
    place.start(EVERY_STEP)
    task = hub.offer(spec)
    place.wait_until(lambda: place.step_of(task) > STEPS / 2)
    assert place.stop() == 0
    assert task.releases == 1
    hub.requeue(task)
    place.start(EVERY_STEP)
    steps: set[int] = set()
    place.wait_until(lambda: steps.add(place.step_of(task)) or task.receipt)
    place.wait_until_idle()
    assert not steps & set(range(1, STEPS // 2))
    assert task.updates[0].fence == 2
    assert sent_bytes(hub, task) == sent_bytes(hub, undisturbed(hub, place, spec))
    place.wait_until(lambda: not list(place.home.folder.rglob("*checkpoint*")))


def test_away_for_longer_than_its_lease_it_goes_on_from_its_checkpoint_too(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    place.stop()
    place.start(EVERY_STEP)
    task = hub.offer(long_training(hub, adapter))
    place.wait_until(lambda: place.step_of(task) > STEPS / 2)
    place.kill()
    task.cancel = "the lease has passed on"
    place.start(EVERY_STEP)
    place.wait_until_idle()
    task.cancel = ""
    hub.requeue(task)
    steps: set[int] = set()
    place.wait_until(lambda: steps.add(place.step_of(task)) or task.receipt)
    place.wait_until_idle()
    assert not steps & set(range(1, STEPS // 2))


def test_told_to_stop_while_sending_it_sends_first(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    hub.fail_next("POST .*/updates", status=503, headers={"Retry-After": "1"})
    task = hub.offer(train_spec)
    hub.wait_for(lambda: hub.requests(f"{task.offer.id}/updates"))
    assert place.stop() == 0
    assert task.receipt
    assert place.entries() == []
