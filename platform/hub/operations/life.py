"""How workers say that they live, and what becomes known when one did not end well."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, TypeAlias

from django.db import transaction
from django.db.models import F
from django.utils import timezone

from hub.common.actors import Actor
from hub.common.context import VERSION
from hub.common.errors import Invalid, NotFound
from hub.dispatch import Job, enqueue
from hub.operations.models import FailedJob, FailedJobState, Process

KILLED = "killed"  # the error of a job whose worker was gone before it ended
MOST_KEPT = 1000
KEPT = timedelta(days=30)
FORGOTTEN = timedelta(days=1)  # a process that was not seen for so long has another name now

Doing: TypeAlias = Sequence[Mapping[str, Any]]


@transaction.atomic
def begin(*, name: str, pid: int) -> None:
    """A process has started. What its last life was at when it ended, killed it or died with it."""
    before = Process.objects.select_for_update().filter(pk=name).first()
    if before is not None and before.ended_at is None:
        for one in before.doing:
            note_failure(job=one["job"], arguments=one["about"], worker=name, error=KILLED)
    now = timezone.now()
    Process.objects.update_or_create(
        name=name,
        defaults={
            "program": name.partition("@")[0],
            "pid": pid,
            "version": VERSION,
            "started_at": now,
            "seen_at": now,
            "ended_at": None,
            "doing": [],
            "done": 0,
            "failed": 0,
            "dropped": 0,
        },
    )


def pulse(
    *, name: str, pid: int, doing: Doing, done: int = 0, failed: int = 0, dropped: int = 0
) -> None:
    """It lives, and this is what it is at; also if its beginning could not be written."""
    said = {"doing": list(doing), "done": done, "failed": failed, "dropped": dropped}
    if not Process.objects.filter(pk=name).update(seen_at=timezone.now(), **said):
        begin(name=name, pid=pid)


def end(*, name: str) -> None:
    """It was told to stop, and has finished what it was at."""
    Process.objects.filter(pk=name).update(ended_at=timezone.now(), doing=[])


@transaction.atomic
def note_failure(
    *, job: str, arguments: Sequence[Any], worker: str, error: str, place: str = ""
) -> None:
    """Keep that a job broke; the same job about the same object again counts up."""
    fresh = {
        "failed_at": timezone.now(),
        "worker": worker[:120],
        "error": error[:120],
        "place": place[:200],
    }
    digest = hashlib.sha256(json.dumps([job, list(arguments)]).encode()).hexdigest()
    if FailedJob.objects.exclude(digest=digest).count() >= MOST_KEPT:
        return  # whoever can reach the broker cannot fill the table
    row, is_new = FailedJob.objects.select_for_update().get_or_create(
        digest=digest, defaults={"job": job[:80], "arguments": list(arguments), **fresh}
    )
    if is_new:
        return
    FailedJob.objects.filter(pk=row.pk).update(times=F("times") + 1, **fresh)
    if row.state != FailedJobState.FAILED:
        row.move_to(FailedJobState.FAILED, reason=error, data={"job": row.job})


@transaction.atomic
def send_again(*, failed_job_id: Any, actor: Actor, reason: str) -> None:
    """Send the job once more; it looks at the rows like any other. Twice is once.

    Raises:
        Invalid: another version had this job, and ours has not.
    """
    row = _locked(failed_job_id)
    if row.job not in set(Job):
        raise Invalid(f"Nobody knows the job {row.job} any more.")
    if row.state == FailedJobState.FAILED:
        enqueue(Job(row.job), *row.arguments)
        row.move_to(FailedJobState.SENT_AGAIN, actor=actor, reason=reason, data={"job": row.job})


@transaction.atomic
def put_aside(*, failed_job_id: Any, actor: Actor, reason: str) -> None:
    """Name it no more among what is wrong, until it fails again. Twice is once."""
    row = _locked(failed_job_id)
    if row.state == FailedJobState.FAILED:
        row.move_to(FailedJobState.PUT_ASIDE, actor=actor, reason=reason, data={"job": row.job})


def forget_old() -> None:
    """Let go of processes under names that are in use no more, and of failures long ago."""
    now = timezone.now()
    Process.objects.filter(seen_at__lt=now - FORGOTTEN).delete()
    FailedJob.objects.filter(failed_at__lt=now - KEPT).delete()


def _locked(failed_job_id: Any) -> FailedJob:
    found = FailedJob.objects.select_for_update().filter(pk=failed_job_id).first()
    if found is None:
        raise NotFound("no such job")
    return found
