"""Queues, the outbox, and jobs that broke."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min
from django.http import HttpRequest

from hub.common import switches
from hub.common.errors import DependencyDown
from hub.common.models import OutboxMessage
from hub.operations import machines
from hub.operations.dashboard import listing
from hub.operations.models import FailedJob, FailedJobState
from hub.operations.pages.parts import Cell, Section, acts_of, link, moment, number

SHOWN = 20


def sections(request: HttpRequest) -> Iterator[Section]:
    yield _queues()
    yield _outbox(request)
    yield _failed(request)


def _queues() -> Section:
    try:
        queues = machines.queues()
    except DependencyDown:
        return Section("Queues", empty="The broker does not answer. Jobs wait in the outbox.")
    rows = [
        [Cell(one.name), number(one.length), moment(one.oldest_at), Cell(one.oldest_job or "–")]
        for one in queues
    ]
    return Section(
        "Queues",
        lead="Messages in Redis that no worker has taken yet.",
        head=("Queue", "Waiting", "Oldest sent", "Oldest job"),
        rows=rows,
    )


def _outbox(request: HttpRequest) -> Section:
    unsent = OutboxMessage.objects.filter(sent_at__isnull=True)
    by_job = unsent.order_by().values("job").annotate(count=Count("pk"), oldest=Min("created_at"))
    found = list(by_job.order_by("oldest"))
    first = unsent.order_by("pk").first() if found else None
    is_held = switches.present().is_in_maintenance
    return Section(
        "Written and not sent",
        lead="Held until the maintenance ends."
        if is_held
        else "A job is written with what caused it, and sent after that; a sweep sends the rest.",
        head=("Job", "Messages", "Oldest written"),
        rows=[[Cell(one["job"]), number(one["count"]), moment(one["oldest"])] for one in found],
        empty="Everything that was written has been sent.",
        acts=acts_of(first, request).acts if first and not is_held else (),
        is_attention=bool(found) and not is_held,
    )


def _failed(request: HttpRequest) -> Section:
    failed = FailedJob.objects.filter(state=FailedJobState.FAILED).order_by("-failed_at")
    found = list(failed[: SHOWN + 1])
    rows = [
        [
            link(job, note=f"{job.error} {job.place}".strip()),
            number(job.times),
            moment(job.failed_at),
            Cell(job.worker),
            acts_of(job, request),
        ]
        for job in found[:SHOWN]
    ]
    return Section(
        "Jobs that broke",
        lead="What a job refuses is said in the rows that it is about; here is what nobody "
        "expected, and what its worker was at when it was killed.",
        head=("Job", "Times", "Last", "Worker", "Acts"),
        rows=rows,
        empty="No job has broken.",
        more=("All of them", listing(FailedJob)) if len(found) > SHOWN else None,
        is_attention=bool(found),
    )
