"""The ways in which work can be stuck: which rows show it, since when, and what helps.

The console, the metrics and the tests read the one list at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Model, Q, QuerySet, Window
from django.db.models.functions import Now

from hub.catalogue.models import Upload, UploadState
from hub.common.models import OutboxMessage
from hub.federations.models import FederationState
from hub.ledger.models import Head
from hub.ledger.selectors import unsigned_heads
from hub.runs.models import (
    Round,
    RoundState,
    Run,
    RunState,
    Task,
    TaskState,
    Update,
    UpdateState,
)

UNSENT = timedelta(seconds=30)
BEGUN = timedelta(seconds=60)  # by then a job that was asked for has begun
SWEPT = timedelta(seconds=600)  # by then housekeeping has come round twice
WAITING = (RoundState.OPEN, RoundState.COLLECTING, RoundState.EVALUATING)  # for agents


@dataclass(frozen=True, slots=True)
class Trouble:
    """One way of being stuck. `rows` come oldest first; `since` is the field that says how old."""

    name: str
    title: str
    remedy: str
    rows: Callable[[], QuerySet[Any]]
    since: str
    states: tuple[str, ...] = ()  # narrow the console's list to about these rows
    examples: int = 5  # how many rows are worth showing

    def found(self) -> Found:
        """The oldest rows and how many there are, in one query."""
        everything = self.rows().annotate(of_all=Window(Count("pk"))).order_by(self.since)
        rows = list(everything[: self.examples])
        return Found(
            trouble=self,
            rows=rows,
            count=rows[0].of_all if rows else 0,
            oldest=getattr(rows[0], self.since) if rows else None,
        )


@dataclass(frozen=True, slots=True)
class Found:
    trouble: Trouble
    rows: Sequence[Model]
    count: int
    oldest: datetime | None


def unprepared_runs() -> QuerySet[Run]:
    return Run.objects.filter(
        state=RunState.QUEUED, state_changed_at__lt=Now() - BEGUN
    ).select_related("federation")


def expired_leases() -> QuerySet[Task]:
    return Task.objects.filter(state=TaskState.LEASED, lease_expires_at__lt=Now()).select_related(
        "round__run", "participation__organisation", "agent"
    )


def overdue_rounds() -> QuerySet[Round]:
    return Round.objects.filter(
        state__in=WAITING,
        deadline_at__lt=Now(),
        run__state=RunState.RUNNING,
        run__federation__state=FederationState.ACTIVE,
    ).select_related("run")


def unclaimed_rounds() -> QuerySet[Round]:
    never = Q(claimed_until__isnull=True, state_changed_at__lt=Now() - BEGUN)
    return Round.objects.filter(
        never | Q(claimed_until__lt=Now()), state=RoundState.AGGREGATING
    ).select_related("run")


def undecided_updates() -> QuerySet[Update]:
    forgotten = Q(state=UpdateState.RECEIVED, created_at__lt=Now() - BEGUN)
    return Update.objects.filter(
        forgotten | Q(state=UpdateState.QUARANTINED), is_late=False
    ).select_related("round__run", "participation__organisation")


def unsent_messages() -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(sent_at__isnull=True, created_at__lt=Now() - UNSENT)


def idle_uploads() -> QuerySet[Upload]:
    idle = timedelta(seconds=settings.UPLOAD_IDLE_SECONDS) + SWEPT
    return Upload.objects.filter(
        state=UploadState.OPEN, touched_at__lt=Now() - idle
    ).select_related("agent__organisation")


def unsigned_ledgers() -> QuerySet[Head]:
    """Those that were stopped, since the database is not what was signed; and forgotten ones."""
    forgotten = Q(pk__in=unsigned_heads().values("pk"), at__lt=Now() - BEGUN)
    return Head.objects.filter(~Q(stopped="") | forgotten)


TROUBLES = (
    Trouble(
        "unsent_messages",
        "Jobs that were not sent",
        "The periodic worker sends them every few seconds once Redis answers.",
        unsent_messages,
        "created_at",
        examples=1,
    ),
    Trouble(
        "unprepared_runs",
        "Runs that nobody prepares",
        "The compute worker makes the first adapter: is it running?",
        unprepared_runs,
        "state_changed_at",
        (RunState.QUEUED,),
    ),
    Trouble(
        "expired_leases",
        "Leases that ran out",
        "The periodic worker takes them back; requeue one to be quicker.",
        expired_leases,
        "lease_expires_at",
        (TaskState.LEASED,),
    ),
    Trouble(
        "undecided_updates",
        "Updates without a verdict",
        "The compute worker examines them; quarantined ones wait for the lead organisation.",
        undecided_updates,
        "created_at",
        (UpdateState.RECEIVED, UpdateState.QUARANTINED),
    ),
    Trouble(
        "overdue_rounds",
        "Rounds past their deadline",
        "The next look at the run closes or fails them; nudge it to look now.",
        overdue_rounds,
        "deadline_at",
        WAITING,
    ),
    Trouble(
        "unclaimed_rounds",
        "Rounds that nobody aggregates",
        "The compute worker that had it is gone; another takes over, or nudge it.",
        unclaimed_rounds,
        "state_changed_at",
        (RoundState.AGGREGATING,),
    ),
    Trouble(
        "unsigned_ledgers",
        "Ledgers that were stopped, or that nobody signs",
        "Stopped: see why in its row, restore the database, then manage.py resume_ledger. Else: is "
        "there a worker with LEDGER_KEY_FILE?",
        unsigned_ledgers,
        "at",
    ),
    Trouble(
        "idle_uploads",
        "Uploads that stand still",
        "Housekeeping closes them, and the agent begins anew.",
        idle_uploads,
        "touched_at",
        (UploadState.OPEN,),
    ),
)
