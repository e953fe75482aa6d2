from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from agent.errors import Cancelled
from agent.execution import execute, failure_of
from agent.home import Home
from agent.journal import Entry
from agent.progress import Reporter
from agent.tasks import task_types
from agent.tasks.train import _checkpointing
from federation.modelling import Examples, ModellingRefused, Step, train
from federation.protocol import TaskType
from federation.tensors import cut_rank
from tests.agent import tiny


def test_every_task_type_of_the_protocol_can_be_done() -> None:
    assert set(task_types) == set(TaskType)


def test_training_stops_within_two_micro_batches(
    entry: Entry, base: Path, adapter: bytes, tmp_path: Path
) -> None:
    begun: list[int] = []
    reporter = Reporter(entry)

    def on_step(step: Step) -> None:
        if step.step == 3:
            entry.cancel()
        reporter.step("training", step)
        begun.append(step.step)

    (tmp_path / "full").write_bytes(adapter)
    cut_rank(tmp_path / "full", 2, tmp_path / "start")
    texts, labels = ["wave salt"] * 30, ["sea"] * 30
    with pytest.raises(Cancelled):
        train(
            base=base,
            plan=tiny.plan(batch_size=1),
            start=tmp_path / "start",
            rank=2,
            seed=1,
            examples=Examples(texts, labels),
            target=tmp_path / "update",
            on_step=on_step,
        )
    assert max(begun) <= 3 + 2


def test_a_message_about_no_task_of_ours_does_nothing(home: Home, entry: Entry) -> None:
    execute(home, uuid4(), device="cpu")
    entry.cancel()
    execute(home, entry.offer.id, device="cpu")
    assert entry.outcome is None


def test_a_task_that_kills_its_worker_each_time_is_given_up(home: Home, entry: Entry) -> None:
    for _ in range(3):
        entry.begin_attempt()
    execute(home, entry.offer.id, device="cpu")
    assert entry.outcome
    assert entry.outcome.failure
    assert entry.outcome.failure.code == "worker_died"


def test_a_task_that_gets_on_between_two_deaths_is_not_given_up(entry: Entry) -> None:
    for _ in range(5):
        entry.begin_attempt()
        _checkpointing(entry).on_saved()
    assert entry.begin_attempt() == 1


def test_another_plan_than_the_digest_names_is_refused(home: Home, entry: Entry) -> None:
    spec = entry.offer.spec.model_copy(update={"plan_digest": "0" * 64})
    changed = Entry(entry.folder, entry.offer.model_copy(update={"spec": spec}))
    (entry.folder / "offer.json").write_text(changed.offer.model_dump_json())
    execute(home, entry.offer.id, device="cpu")
    assert entry.outcome
    assert entry.outcome.failure
    assert entry.outcome.failure.code == "plan_mismatch"


@pytest.mark.parametrize(
    ("error", "code", "retry"),
    [
        (ModellingRefused("base_unreadable", "none in /home/blaise"), "base_unreadable", True),
        (ModellingRefused("diverged", "the loss is nan"), "diverged", False),
        (KeyError("SECRET"), "internal", True),
        (OSError(28, "No space left", "/home/blaise"), "disk_full", True),
        (MemoryError("SECRET"), "out_of_memory", False),
    ],
)
def test_what_the_hub_is_told_of_an_error_quotes_nothing(
    error: Exception, code: str, retry: bool
) -> None:
    failure = failure_of(error, fence=1)
    assert (failure.code, failure.retry) == (code, retry)
    assert "SECRET" not in failure.detail
    assert "blaise" not in failure.detail
