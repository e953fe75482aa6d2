"""Commit, then reveal: nothing is sent before the hub says so, and then what was committed to."""

from __future__ import annotations

import time

from federation.plan import Plan
from tests.agent import tiny
from tests.agent.conftest import Spec, training
from tests.agent.fake_hub import FakeHub, Task
from tests.agent.place import Place


def committing(hub: FakeHub, adapter: bytes) -> Spec:
    rounds = {"commit_seconds": 60}
    plan = Plan.model_validate({**tiny.plan().model_dump(mode="json"), "rounds": rounds})
    return training(hub, adapter, plan)


def sent_for(hub: FakeHub, task: Task) -> list[object]:
    return [upload for upload in hub.uploads.values() if upload.task == task.offer.id]


def test_an_update_is_sent_when_the_hub_says_so_and_also_after_a_crash(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    task = hub.offer(committing(hub, adapter))
    task.reveal = False
    hub.wait_for(lambda: task.commitments)
    beats = len(task.heartbeats)
    hub.wait_for(lambda: len(task.heartbeats) > beats + 2)  # the lease lives on
    place.kill()
    place.start()
    hub.wait_for(lambda: len(task.commitments) > 1)
    time.sleep(0.5)
    assert not sent_for(hub, task)
    task.reveal = True
    hub.wait_for(lambda: task.receipt)
    place.wait_until_idle()
    digests = {message.statement.update_sha256 for message in task.commitments}
    assert digests == {task.updates[0].statement.update_sha256}


def test_where_all_have_committed_it_is_sent_at_once(
    hub: FakeHub, place: Place, adapter: bytes
) -> None:
    task = hub.offer(committing(hub, adapter))
    task.reveal = True
    hub.wait_for(lambda: task.receipt)
    assert len(task.commitments) == 1


def test_without_a_time_to_commit_nothing_is_committed(
    hub: FakeHub, place: Place, train_spec: Spec
) -> None:
    task = hub.offer(train_spec)
    hub.wait_for(lambda: task.receipt)
    assert task.commitments == []
