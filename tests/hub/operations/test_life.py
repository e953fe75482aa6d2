"""How workers say that they live, and what is known of jobs that did not end well."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from celery import signals
from django.utils import timezone

from hub.common.actors import HUB
from hub.common.errors import NotFound
from hub.common.models import Event, OutboxMessage
from hub.dispatch import Job
from hub.operations import life
from hub.operations.models import FailedJob, Process
from jobs import life as worker_life
from jobs.coordination import advance_run

pytestmark = pytest.mark.django_db
NAME = "compute@lab"
WHY = {"actor": HUB, "reason": "The memory was doubled."}
ABOUT = str(uuid4())


@pytest.fixture
def worker(monkeypatch: pytest.MonkeyPatch) -> worker_life.Life:
    """A process that has begun; its thread is that of the test."""
    own = worker_life.Life()
    monkeypatch.setattr(worker_life, "own", own)
    own.name = NAME
    life.begin(name=NAME, pid=7)
    return own


def starts(job: object = advance_run, task_id: str = "1") -> None:
    signals.task_prerun.send(sender=job, task_id=task_id, task=job, args=[ABOUT])


def breaks(error: Exception) -> None:
    signals.task_failure.send(sender=advance_run, exception=error, args=[ABOUT])


def test_a_process_says_what_it_is_at(worker: worker_life.Life) -> None:
    starts()
    worker.tell()
    (doing,) = Process.objects.get().doing
    assert (doing["job"], doing["about"]) == (Job.ADVANCE_RUN, [ABOUT])
    signals.task_postrun.send(sender=advance_run, task_id="1")
    worker.tell()
    process = Process.objects.get()
    assert (process.doing, process.done, process.program, process.state) == (
        [],
        1,
        "compute",
        "online",
    )


def test_what_may_take_its_worker_along_is_told_before_it_begins(
    worker: worker_life.Life,
) -> None:
    from jobs.compute import aggregate_round

    starts(aggregate_round)
    assert Process.objects.get().doing[0]["job"] == Job.AGGREGATE_ROUND


def test_a_killed_worker_leaves_what_it_was_at(worker: worker_life.Life) -> None:
    starts()
    worker.tell()
    for times in (1, 2):
        life.begin(name=NAME, pid=8)
        failed = FailedJob.objects.get()
        assert (failed.error, failed.times, failed.job) == ("killed", times, Job.ADVANCE_RUN)
        worker.tell()


def test_a_worker_that_was_told_to_stop_leaves_nothing(worker: worker_life.Life) -> None:
    starts()
    worker.tell()
    worker.end()
    assert Process.objects.get().state == "stopped"
    life.begin(name=NAME, pid=8)
    assert not FailedJob.objects.exists()
    assert Process.objects.get().state == "online"


def test_silence_is_seen(worker: worker_life.Life) -> None:
    Process.objects.update(seen_at=timezone.now() - timedelta(minutes=1))
    assert Process.objects.get().state == "silent"
    worker.tell()
    assert Process.objects.get().state == "online"


def test_a_process_that_nobody_knows_introduces_itself(worker: worker_life.Life) -> None:
    Process.objects.all().delete()
    worker.tell()
    assert Process.objects.get().name == NAME


def test_a_broken_job_is_kept_once_with_its_place(worker: worker_life.Life) -> None:
    for _ in range(3):
        try:
            Path("/nowhere/at/all").read_text()
        except OSError as error:
            breaks(error)
    failed = FailedJob.objects.get()
    assert (failed.times, failed.error, failed.worker) == (3, "FileNotFoundError", NAME)
    assert failed.place.startswith("pathlib.py:")


def test_a_message_about_nothing_is_counted_and_not_kept(worker: worker_life.Life) -> None:
    breaks(NotFound("a message names nothing that could exist"))
    signals.task_unknown.send(sender=None)
    signals.task_rejected.send(sender=None)
    worker.tell()
    process = Process.objects.get()
    assert (process.dropped, process.failed) == (3, 1)
    assert not FailedJob.objects.exists()


def test_the_table_cannot_be_filled(
    worker: worker_life.Life, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(life, "MOST_KEPT", 2)
    for number in range(4):
        life.note_failure(job=Job.ADVANCE_RUN, arguments=[number], worker=NAME, error="x")
    assert FailedJob.objects.count() == 2


def test_a_failed_job_is_sent_again_once_and_may_fail_again(worker: worker_life.Life) -> None:
    breaks(ValueError())
    failed = FailedJob.objects.get()
    for _ in range(2):
        life.send_again(failed_job_id=failed.pk, **WHY)
    assert OutboxMessage.objects.get().arguments == [ABOUT]
    breaks(ValueError())
    life.put_aside(failed_job_id=failed.pk, **WHY)
    life.put_aside(failed_job_id=failed.pk, **WHY)
    assert list(Event.objects.values_list("kind", flat=True)) == [
        "job.sent_again",
        "job.failed",
        "job.put_aside",
    ]
    with pytest.raises(NotFound):
        life.put_aside(failed_job_id=uuid4(), **WHY)


def test_what_is_old_is_forgotten(worker: worker_life.Life) -> None:
    breaks(ValueError())
    life.forget_old()
    assert Process.objects.exists()
    assert FailedJob.objects.exists()
    Process.objects.update(seen_at=timezone.now() - timedelta(days=2))
    FailedJob.objects.update(failed_at=timezone.now() - timedelta(days=31))
    life.forget_old()
    assert not Process.objects.exists()
    assert not FailedJob.objects.exists()
