"""What goes to another hub or comes from it: as long as the line takes, and no tensors.

The light worker lends these half of its threads. Whoever finds none free comes again, so that what
takes seconds never waits for a line.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from celery import Task

from hub.dispatch import Job
from hub.operations.processes import threads
from jobs.app import app
from jobs.mirroring import mirror
from jobs.policies import PATIENT, identifier
from jobs.pushing import push

AGAIN_SECONDS = 10
AS_OFTEN_AS_IT_TAKES = 10**6

places = threading.BoundedSemaphore(max(1, threads() // 2))


@contextmanager
def place(task: Task[..., None]) -> Iterator[None]:
    """Take one of the threads that are lent to transfers.

    Raises:
        Retry: none is free; the message comes again.
    """
    if not places.acquire(blocking=False):
        raise task.retry(countdown=AGAIN_SECONDS, max_retries=AS_OFTEN_AS_IT_TAKES)
    try:
        yield
    finally:
        places.release()


@app.task(name=Job.PUSH_VERSION.value, bind=True, **PATIENT)
def push_version(task: Task[..., None], push_id: str) -> None:
    """Copy a version to another hub; delivered twice, the second finds it copied."""
    with place(task):
        push(identifier(push_id))


@app.task(name=Job.MIRROR_BASE_MODEL.value, bind=True, **PATIENT)
def mirror_base_model(task: Task[..., None], draft_id: str) -> None:
    """Fetch a base model from another hub; delivered twice, the second finds it registered."""
    with place(task):
        mirror(identifier(draft_id))
