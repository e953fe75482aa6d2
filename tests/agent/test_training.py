"""The agent as it runs at a site: real poller, Redis, Celery worker and model."""

from __future__ import annotations

from pathlib import Path

from federation.layout import expected_shapes, read_layout
from federation.tallies import inconsistencies
from tests.agent import tiny
from tests.agent.conftest import Spec, evaluating, training
from tests.agent.fake_hub import FakeHub
from tests.agent.place import Place


def test_a_training_task_ends_in_one_update_with_a_receipt(
    hub: FakeHub, place: Place, train_spec: Spec, adapter: bytes, tmp_path: Path
) -> None:
    task = hub.offer(train_spec)
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    (update,) = task.updates
    (upload,) = [upload for upload in hub.uploads.values() if upload.task == task.offer.id]
    assert upload.sha256 == update.statement.update_sha256
    assert (update.statement.examples, update.statement.steps) == (60, 8)
    start, sent = tmp_path / "start", tmp_path / "sent"
    start.write_bytes(adapter)
    sent.write_bytes(upload.content)
    shapes = {name: (t.dtype, t.shape) for name, t in read_layout(sent).tensors.items()}
    assert shapes == expected_shapes(read_layout(start), 2)
    assert (place.home.receipts / f"{task.receipt.update}.json").exists()


def test_equal_tasks_give_equal_bytes(hub: FakeHub, place: Place, train_spec: Spec) -> None:
    first, second = hub.offer(train_spec), hub.offer(train_spec)
    hub.wait_for(lambda: first.receipt and second.receipt)
    digests = {task.updates[0].statement.update_sha256 for task in (first, second)}
    assert len(digests) == 1


def test_an_evaluation_sends_sums_for_every_candidate(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    task = hub.offer(evaluating(hub, adapter, tiny.plan()))
    hub.wait_for(lambda: task.evaluations)
    first, second = task.evaluations[0].results
    assert (first.name, second.name) == ("0", "1")
    assert first.examples == 20
    assert first.correct is not None
    assert (first.correct, first.loss_sum) == (second.correct, second.loss_sum)
    assert sum(count for *_, count in first.confusion) == 20
    assert not list(inconsistencies(second, labels=len(tiny.LABELS)))
    assert (first.paired, second.paired.gained, second.paired.lost) == (None, 0, 0)


def test_heartbeats_carry_progress(hub: FakeHub, place: Place, long_spec: Spec) -> None:
    task = hub.offer(long_spec)
    hub.wait_for(lambda: len([b for b in task.heartbeats if b.progress.step]) >= 2)
    task.cancel = "enough seen"
    place.wait_until_idle()
    first, *_, last = [beat.progress for beat in task.heartbeats if beat.progress.step]
    assert first.phase == "training"
    assert first.step < last.step < last.steps
    assert last.loss is not None
    assert last.learning_rate is not None
    assert last.examples_per_second > 0
    assert last.tokens_per_second > last.examples_per_second
    assert last.device_memory_bytes > 1 << 20
    assert 0 < last.device_utilisation <= 1


def test_a_cancelled_task_stops_and_is_handed_back(
    hub: FakeHub, place: Place, long_spec: Spec
) -> None:
    task = hub.offer(long_spec)
    place.wait_until(lambda: place.step_of(task) > 0)
    task.cancel = "the run was cancelled"
    hub.wait_for(lambda: task.releases)
    last = task.heartbeats[-1].progress.step
    assert 0 < last < 6000
    assert task.updates == []


def test_an_upload_can_be_cancelled(hub: FakeHub, place: Place, train_spec: Spec) -> None:
    hub.fail_next("PATCH", status=503, times=99)
    task = hub.offer(train_spec)
    hub.wait_for(lambda: any(b.progress.phase == "uploading" for b in task.heartbeats))
    task.cancel = "the run was cancelled"
    hub.wait_for(lambda: task.releases)
    place.wait_until_idle()
    assert task.updates == []


def test_a_lost_lease_drops_the_task(hub: FakeHub, place: Place, long_spec: Spec) -> None:
    task = hub.offer(long_spec)
    hub.wait_for(lambda: task.heartbeats)
    hub.fail_next("heartbeats", status=409, code="lease_lost")
    place.wait_until_idle()
    assert (task.updates, task.failures, task.releases) == ([], [], 0)


def test_a_result_that_comes_too_late_is_dropped(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    hub.fail_next("POST .*/updates", status=410, code="task_over")
    task = hub.offer(train_spec)
    hub.wait_for(lambda: hub.requests(f"{task.offer.id}/updates"))
    place.wait_until_idle()
    assert task.failures == []


def test_a_result_that_is_not_wanted_fails_the_task(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    hub.fail_next("POST .*/updates", status=422, code="statement_mismatch")
    task = hub.offer(train_spec)
    hub.wait_for(lambda: task.failures)
    assert (task.failures[0].code, task.failures[0].retry) == ("statement_mismatch", False)


def test_a_federation_without_data_here_is_declined(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    task = hub.offer(train_spec, federation="elsewhere")
    hub.wait_for(lambda: task.failures)
    assert (task.failures[0].code, task.failures[0].retry) == ("not_mapped", False)


def test_work_goes_on_when_the_hub_is_back(hub: FakeHub, place: Place, adapter: bytes) -> None:
    spec = training(hub, adapter, tiny.plan(epochs=3.0))
    outage = hub.fail_next(".", status=503, times=4)
    task = hub.offer(spec)
    hub.wait_for(lambda: task.receipt)
    assert outage.times == 0
    assert len({seen.body for seen in hub.requests(f"{task.offer.id}/updates")}) == 1


def test_while_paused_the_agent_only_shows_that_it_lives(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    place.command("pause")
    hub.wait_for(lambda: hub.leases and hub.leases[-1].busy)
    task = hub.offer(train_spec)
    place.command("resume")
    hub.wait_for(lambda: task.receipt)
