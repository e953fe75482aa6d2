"""The ways in which work can be stuck: which rows show it, since when, and what helps.

The console, the metrics and the tests read the one list at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db.models import (
    Count,
    Exists,
    F,
    Func,
    Model,
    OuterRef,
    Q,
    QuerySet,
    TextField,
    Value,
    Window,
)
from django.db.models.functions import Cast, Now

from hub.catalogue.models import Upload, UploadState
from hub.common.models import OutboxMessage
from hub.federations.models import FederationState
from hub.ledger.models import Head
from hub.ledger.selectors import unsigned_heads
from hub.operations.life import KILLED
from hub.operations.models import SILENT_AFTER, FailedJob, FailedJobState, Process
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
    """One way of being stuck. `since` is the field that says how old a row is."""

    name: str
    title: str
    remedy: str
    rows: Callable[[], QuerySet[Any]]
    since: str
    called: tuple[Any, ...]  # what a row is called by, from the outside in
    states: tuple[str, ...] = ()  # narrow the console's list to about these rows
    examples: int = 5  # how many rows are worth showing

    def found(self) -> Found:
        return found_among([self])[0]

    def _oldest(self) -> QuerySet[Any]:
        """The oldest rows in the form that those of all kinds have."""
        rows = self.rows()
        fields = {field.name for field in rows.model._meta.fields}  # noqa: SLF001
        return (
            rows.select_related(None)
            .order_by(self.since)
            .values_list(
                Value(self.name),
                Window(Count("pk")),
                Cast("pk", TextField()),
                F(self.since),
                F("state") if "state" in fields else Value(""),
                together(*self.called),
            )[: self.examples]
        )


@dataclass(frozen=True, slots=True)
class Example:
    """One row that shows a trouble; as much of it as its link and its acts need."""

    row: Model
    words: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Found:
    trouble: Trouble
    count: int
    examples: Sequence[Example]

    @property
    def oldest(self) -> datetime | None:
        return self.examples[0].since if self.examples else None


def found_among(troubles: Sequence[Trouble]) -> list[Found]:
    """How many rows show each trouble, and the oldest of them: one query for all."""
    first, *others = [trouble._oldest() for trouble in troubles]  # noqa: SLF001 (the same file)
    found: dict[str, list[Any]] = {}
    for name, *facts in first.union(*others, all=True) if others else first:
        found.setdefault(name, []).append(facts)
    return [_found(trouble, found.get(trouble.name, [])) for trouble in troubles]


def _found(trouble: Trouble, facts: list[Any]) -> Found:
    model = trouble.rows().model
    examples = [
        Example(model(**_known(trouble, pk, since, state)), words, since)
        for _, pk, since, state, words in sorted(facts, key=lambda one: one[2])
    ]
    return Found(trouble, count=facts[0][0] if facts else 0, examples=examples)


def _known(trouble: Trouble, pk: str, since: datetime, state: str) -> dict[str, object]:
    return {"pk": pk, trouble.since: since, **({"state": state} if state else {})}


def together(*parts: Any) -> Func:
    """«Reviews · round 2 · Bergen Bank», without what is missing."""
    return Func(Value(" · "), *parts, function="concat_ws", output_field=TextField())


def numbered(field: str) -> Func:
    return Func(Value("round "), F(field), function="concat", output_field=TextField())


def unprepared_runs() -> QuerySet[Run]:
    return Run.objects.filter(state=RunState.QUEUED, state_changed_at__lt=Now() - BEGUN)


def expired_leases() -> QuerySet[Task]:
    return Task.objects.filter(state=TaskState.LEASED, lease_expires_at__lt=Now())


def overdue_rounds() -> QuerySet[Round]:
    return Round.objects.filter(
        state__in=WAITING,
        deadline_at__lt=Now(),
        run__state=RunState.RUNNING,
        run__federation__state=FederationState.ACTIVE,
    )


def unclaimed_rounds() -> QuerySet[Round]:
    never = Q(claimed_until__isnull=True, state_changed_at__lt=Now() - BEGUN)
    return Round.objects.filter(never | Q(claimed_until__lt=Now()), state=RoundState.AGGREGATING)


def undecided_updates() -> QuerySet[Update]:
    forgotten = Q(state=UpdateState.RECEIVED, created_at__lt=Now() - BEGUN)
    return Update.objects.filter(forgotten | Q(state=UpdateState.QUARANTINED), is_late=False)


def unsent_messages() -> QuerySet[OutboxMessage]:
    return OutboxMessage.objects.filter(sent_at__isnull=True, created_at__lt=Now() - UNSENT)


def idle_uploads() -> QuerySet[Upload]:
    idle = timedelta(seconds=settings.UPLOAD_IDLE_SECONDS) + SWEPT
    return Upload.objects.filter(state=UploadState.OPEN, touched_at__lt=Now() - idle)


def unsigned_ledgers() -> QuerySet[Head]:
    """Those that were stopped, since the database is not what was signed; and forgotten ones."""
    forgotten = Q(pk__in=unsigned_heads().values("pk"), at__lt=Now() - BEGUN)
    return Head.objects.filter(~Q(stopped="") | forgotten)


def failed_jobs() -> QuerySet[FailedJob]:
    """What broke, and what killed its worker more than once."""
    once = Q(error=KILLED, times=1)
    return FailedJob.objects.filter(~once, state=FailedJobState.FAILED)


def silent_programs() -> QuerySet[Process]:
    """Programs of which no process lives, by the one that was seen last."""
    now = Now()
    same = Process.objects.filter(program=OuterRef("program"))
    living = same.filter(ended_at__isnull=True, seen_at__gte=now - SILENT_AFTER)
    later = same.filter(seen_at__gt=OuterRef("seen_at"))
    return Process.objects.exclude(Exists(living)).exclude(Exists(later))


OF_ROUND = ("run__name", numbered("number"))
OF_TASK = (
    "round__run__name",
    numbered("round__number"),
    "participation__organisation__name",
    "type",
)
TROUBLES = (
    Trouble(
        "silent_programs",
        "No process of this kind lives",
        "Start it: its work waits, and is done then.",
        silent_programs,
        "seen_at",
        ("program", "name"),
    ),
    Trouble(
        "failed_jobs",
        "Jobs that broke",
        "The log of its worker has the cause. Send it again once that is mended, or put it aside.",
        failed_jobs,
        "failed_at",
        ("job", "error", "place"),
        (FailedJobState.FAILED,),
    ),
    Trouble(
        "unsent_messages",
        "Jobs that were not sent",
        "The periodic worker sends them every few seconds once Redis answers.",
        unsent_messages,
        "created_at",
        ("job",),
        examples=1,
    ),
    Trouble(
        "unprepared_runs",
        "Runs that nobody prepares",
        "The compute worker makes the first adapter: is it running?",
        unprepared_runs,
        "state_changed_at",
        ("federation__name", "name"),
        (RunState.QUEUED,),
    ),
    Trouble(
        "expired_leases",
        "Leases that ran out",
        "The periodic worker takes them back; requeue one to be quicker.",
        expired_leases,
        "lease_expires_at",
        OF_TASK,
        (TaskState.LEASED,),
    ),
    Trouble(
        "undecided_updates",
        "Updates without a verdict",
        "The compute worker examines them; quarantined ones wait for the lead organisation.",
        undecided_updates,
        "created_at",
        ("round__run__name", numbered("round__number"), "participation__organisation__name"),
        (UpdateState.RECEIVED, UpdateState.QUARANTINED),
    ),
    Trouble(
        "overdue_rounds",
        "Rounds past their deadline",
        "The next look at the run closes or fails them; nudge it to look now.",
        overdue_rounds,
        "deadline_at",
        OF_ROUND,
        WAITING,
    ),
    Trouble(
        "unclaimed_rounds",
        "Rounds that nobody aggregates",
        "The compute worker that had it is gone; another takes over, or nudge it.",
        unclaimed_rounds,
        "state_changed_at",
        OF_ROUND,
        (RoundState.AGGREGATING,),
    ),
    Trouble(
        "unsigned_ledgers",
        "Ledgers that were stopped, or that nobody signs",
        "Stopped: see why in its row, restore the database, then manage.py resume_ledger. Else: is "
        "there a worker with LEDGER_KEY_FILE?",
        unsigned_ledgers,
        "at",
        ("ledger",),
    ),
    Trouble(
        "idle_uploads",
        "Uploads that stand still",
        "Housekeeping closes them, and the agent begins anew.",
        idle_uploads,
        "touched_at",
        ("agent__organisation__name", "agent__name", "size_bytes"),
        (UploadState.OPEN,),
    ),
)
