"""Names of the background jobs, and the one way to send them.

`enqueue` writes an outbox row in the caller's transaction and sends it after the commit. What
could not be sent then (broker away, process killed) is sent by the periodic sweep. A job's name
and arguments are a public contract between versions: add, keep both, then remove.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from functools import cache
from typing import Any

from celery import Celery
from django.conf import settings
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import OperationalError

from federation.failpoints import failpoint
from hub.common import switches
from hub.common.errors import DependencyDown
from hub.common.models import OutboxMessage

logger = logging.getLogger(__name__)

SENT_HEADER = "foedus_sent"
FIRST, LAST = 0, 9  # of the priorities of Celery's Redis transport


class Job(StrEnum):
    """Every background job by its wire name; the part before the dot is its queue."""

    PREPARE_RUN = "compute.prepare_run"
    VALIDATE_UPDATE = "compute.validate_update"
    COMPARE_UPDATES = "compute.compare_updates"
    AGGREGATE_ROUND = "compute.aggregate_round"
    RECOMPUTE_ROUND = "compute.recompute_round"
    STACK_ROUND = "compute.stack_round"
    MEASURE_ON_PROBE = "compute.measure_on_probe"
    EXAMINE_ROUND = "compute.examine_round"
    MERGE_MODEL = "compute.merge_model"
    MEASURE_DISTANCE = "compute.measure_distance"
    VALUE_ROUND = "compute.value_round"
    ANSWER_QUESTION = "interactive.answer_question"
    ADVANCE_RUN = "default.advance_run"
    ADVANCE_FEDERATION = "default.advance_federation"
    RETIRE_AGENT = "default.retire_agent"
    END_WORK = "default.end_work"
    END_RUNS = "default.end_runs"
    TELL_KEYS = "default.tell_keys"
    COMMIT_VERSION = "default.commit_version"
    DESCRIBE_RELEASED = "default.describe_released"
    SIGN_LEDGER = "default.sign_ledger"
    SEND_LETTER = "default.send_letter"
    PUSH_VERSION = "transfers.push_version"
    MIRROR_BASE_MODEL = "transfers.mirror_base_model"
    POST_MAIL = "transfers.post_mail"
    DELIVER_WEBHOOKS = "transfers.deliver_webhooks"
    RECONCILE = "periodic.reconcile"
    HOUSEKEEPING = "periodic.housekeeping"


# A round, and whatever a person waits for, goes first.
PATIENT = frozenset({Job.VALUE_ROUND, Job.EXAMINE_ROUND})


@cache
def producer() -> Celery:
    """A Celery client that only sends; the workers' own application lives in `jobs`."""
    app = Celery("foedus-producer")
    app.conf.update(settings.CELERY)
    # A request must never wait for a broker that is away: the sweep sends later.
    app.conf.broker_transport_options = {
        **settings.CELERY["broker_transport_options"],
        "socket_timeout": 2,
        "socket_connect_timeout": 1,
        "retry_on_timeout": False,
        "max_retries": 1,  # of the connection, and the second at once: else some six seconds
        "interval_start": 0,
    }
    return app


def enqueue(job: Job, *arguments: str) -> None:
    """Write the job to the outbox; it is sent after the surrounding transaction commits."""
    failpoint("W03", "before")
    message = OutboxMessage.objects.create(job=job, arguments=list(arguments))
    transaction.on_commit(lambda: send(message), robust=True)


def send(message: OutboxMessage) -> None:
    """Send one outbox row. Sent twice does no harm: jobs re-read the state.

    While the hub is being worked on it is held back; what workers have already, they finish.
    """
    if switches.present().is_in_maintenance:
        return
    try:
        priority = LAST if message.job in PATIENT else FIRST
        _hand_over(message.job, message.arguments, priority=priority)
    except (OperationalError, OSError) as away:
        logger.warning("broker away, the sweep will send", extra={"cause": str(away)})
        return
    OutboxMessage.objects.filter(pk=message.pk).update(sent_at=Now())
    failpoint("W03", "after")


def _hand_over(job: str, arguments: list[str], **options: Any) -> None:
    """To the broker, with the moment, so that the console knows how long it has waited."""
    headers = {SENT_HEADER: timezone.now().isoformat(timespec="seconds")}
    producer().send_task(job, args=arguments, headers=headers, retry=False, **options)


def send_soon(job: Job, *arguments: str, seconds: float) -> None:
    """Send a job that a sweep would ask for again; while the broker is away, nothing happens."""
    if switches.present().is_in_maintenance:
        return
    try:
        _hand_over(job, list(arguments), expires=seconds)
    except (OperationalError, OSError) as away:
        logger.info("broker away, a sweep asks again", extra={"cause": str(away)})


def send_fleeting(job: Job, *arguments: str, seconds: float) -> None:
    """Send a job that is worth nothing after so many seconds, behind all other work.

    Nothing of it is written down, so nobody sends it again.

    Raises:
        DependencyDown: the broker is away.
    """
    try:
        _hand_over(job, list(arguments), expires=seconds, priority=LAST)
    except (OperationalError, OSError) as away:
        raise DependencyDown(_("Try again in a moment."), retry_after=5) from away


def sweep(*, limit: int = 500) -> int:
    """Send what was written and not sent; returns how many. Safe to run twice at once."""
    with transaction.atomic():
        waiting = list(
            OutboxMessage.objects.select_for_update(skip_locked=True)
            .filter(sent_at__isnull=True)
            .order_by("id")[:limit]
        )
        for message in waiting:
            send(message)
    return len(waiting)
