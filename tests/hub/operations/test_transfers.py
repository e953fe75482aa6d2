"""What takes as long as a line does has its share of the light worker, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from uuid import uuid4

import pytest
from celery.exceptions import Retry

from hub.common.errors import NotFound
from hub.dispatch import Job
from hub.operations.machines import queue_lengths
from hub.operations.processes import threads
from jobs.app import app
from jobs.transfers import mirror_base_model, place, places, push_version


@pytest.fixture(autouse=True)
def asked() -> Iterator[None]:
    """As a worker runs a job; what it sends is thrown away in the end."""
    push_version.push_request(called_directly=False, id=str(uuid4()), args=["no push"], retries=9)
    yield
    push_version.pop_request()
    with app.connection_for_write() as broker:
        broker.default_channel.queue_purge("transfers")


def test_its_jobs_have_a_queue_of_their_own() -> None:
    for job in (Job.PUSH_VERSION, Job.MIRROR_BASE_MODEL):
        assert app.amqp.router.route({}, job)["queue"].name == "transfers"


def test_half_of_the_threads_are_lent_and_whoever_finds_none_comes_again() -> None:
    waiting = queue_lengths()["transfers"]
    with ExitStack() as held:
        for _ in range(threads() // 2):
            held.enter_context(place(mirror_base_model))
        with pytest.raises(Retry):
            push_version.run("no push")
        assert queue_lengths()["transfers"] == waiting + 1
    with pytest.raises(NotFound):
        push_version.run("no push")
    assert places.acquire(blocking=False)
    places.release()
