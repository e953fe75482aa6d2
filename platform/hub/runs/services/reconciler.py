"""Finds what is due in the database and was forgotten by everybody else.

Messages may be lost at any time (a flushed broker, a killed process). The rows say what should
be going on; the reconciler asks for it again. It works in bounded batches.
"""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from federation.protocol import TaskType
from hub.catalogue.models import (
    CommitReason,
    ProbeScore,
    ProbeScoreState,
    Push,
    PushState,
    VersionCommit,
)
from hub.catalogue.versions.merging import unmerged
from hub.common.models import OutboxMessage
from hub.dispatch import Job, enqueue
from hub.federations.models import FederationState
from hub.runs.models import (
    Recomputation,
    RecomputationState,
    Round,
    RoundState,
    Run,
    RunState,
    Task,
    Update,
    UpdateState,
)
from hub.runs.selectors import OPEN_TASKS
from hub.runs.services.consent import signed_runs
from hub.runs.services.leases import expire_leases
from hub.runs.services.locks import database_now
from hub.runs.stacked_models import Stacking, StackingState

logger = logging.getLogger(__name__)
LOCK = 0x0F0ED005  # one reconciler at a time, wherever it runs
BATCH = 200
AGAIN_AFTER = 3  # rounds of reconciling, before the same job is asked for a second time


def reconcile() -> int:
    """Re-create work that is due and not on its way; returns how many jobs were asked for."""
    expire_leases(limit=BATCH)
    with transaction.atomic():
        if not _alone():
            return 0
        now = database_now()
        asked = [
            *_ask(Job.PREPARE_RUN, _unprepared(now), now),
            *_ask(Job.VALIDATE_UPDATE, _unjudged(now), now),
            *_ask(Job.AGGREGATE_ROUND, _unclaimed(now), now),
            *_ask(Job.ADVANCE_RUN, [*_stalled(now), *_signed()], now),
            *_ask(Job.RECOMPUTE_ROUND, _unrecomputed(now), now),
            *_ask(Job.STACK_ROUND, _unstacked(now), now),
            *_ask(Job.COMMIT_VERSION, _undescribed(now), now),
            *_ask(Job.PUSH_VERSION, _unpushed(now), now),
            *_ask(Job.MEASURE_ON_PROBE, _unmeasured(now), now),
            *_ask(Job.MERGE_MODEL, _unmerged(now), now),
        ]
    if asked:
        logger.info("asked again", extra={"jobs": len(asked)})
    return len(asked)


def _alone() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [LOCK])
        return bool(cursor.fetchone()[0])


def _ask(job: Job, ids: list[str], now: datetime) -> list[str]:
    """Enqueue the job for each id that nobody has asked for of late."""
    since = now - timedelta(seconds=AGAIN_AFTER * settings.RECONCILE_SECONDS)
    recent = set(
        OutboxMessage.objects.filter(job=job, created_at__gt=since).values_list(
            "arguments__0", flat=True
        )
    )
    due = [i for i in ids if i not in recent]
    for i in due:
        enqueue(job, i)
    return due


def _settled(now: datetime) -> datetime:
    """Younger rows have their own message on the way."""
    return now - timedelta(seconds=settings.RECONCILE_SECONDS)


def _unprepared(now: datetime) -> list[str]:
    queued = Run.objects.filter(state=RunState.QUEUED, state_changed_at__lt=_settled(now))
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _unjudged(now: datetime) -> list[str]:
    received = Update.objects.filter(
        state=UpdateState.RECEIVED, is_late=False, created_at__lt=_settled(now)
    )
    return _ids(received.values_list("pk", flat=True)[:BATCH])


def _unclaimed(now: datetime) -> list[str]:
    frozen = Round.objects.filter(
        Q(claimed_until__isnull=True) | Q(claimed_until__lt=now),
        state=RoundState.AGGREGATING,
        state_changed_at__lt=_settled(now),
    )
    return _ids(frozen.values_list("pk", flat=True)[:BATCH])


def _stalled(now: datetime) -> list[str]:
    """Runs whose round is overdue, or waits for nobody."""
    waiting = Task.objects.filter(round=OuterRef("pk"), state__in=OPEN_TASKS)
    training = waiting.filter(type=TaskType.TRAIN)
    evaluating = waiting.filter(type=TaskType.EVALUATE)
    updates = Update.objects.filter(round=OuterRef("pk"), is_late=False)
    unjudged = updates.filter(state=UpdateState.RECEIVED)
    held = updates.filter(state=UpdateState.QUARANTINED)
    uncompared = Q(comparison__isnull=True)
    trained = Q(
        uncompared | ~Exists(held),
        ~Exists(training),
        ~Exists(unjudged),
        state=RoundState.COLLECTING,
    )
    evaluated = Q(~Exists(evaluating), state=RoundState.EVALUATING)
    overdue = Q(state__in=[RoundState.COLLECTING, RoundState.EVALUATING], deadline_at__lt=now)
    due = trained | evaluated | overdue | _undecided(training, now)
    rounds = Round.objects.filter(
        due, run__state=RunState.RUNNING, run__federation__state=FederationState.ACTIVE
    )
    return _ids(rounds.values_list("run_id", flat=True)[:BATCH])


def _signed() -> list[str]:
    """Runs that waited for signatures which are all there, or for somebody who has left."""
    return _ids(signed_runs().values_list("pk", flat=True)[:BATCH])


def _undecided(training: QuerySet[Task], now: datetime) -> Q:
    """Rounds that should have opened for updates, or that wait for who can send none."""
    uncommitted = Exists(training.filter(commitment__isnull=True))
    shut = Q(unveiling__opened_at__isnull=True, unveiling__isnull=False)
    is_due = Q(unveiling__deadline_at__lt=now) | ~uncommitted
    left = Q(unveiling__opened_at__isnull=False) & uncommitted
    return Q(state=RoundState.COLLECTING) & (shut & is_due | left)


def _unrecomputed(now: datetime) -> list[str]:
    """Nothing waits for these, and a worker may be busy with one for long."""
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    queued = Recomputation.objects.filter(
        state=RecomputationState.QUEUED, state_changed_at__lt=long_ago
    )
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _unstacked(now: datetime) -> list[str]:
    """Likewise stacked adapters."""
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    queued = Stacking.objects.filter(state=StackingState.QUEUED, state_changed_at__lt=long_ago)
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _unmeasured(now: datetime) -> list[str]:
    """Likewise what is to be measured on a probe set."""
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    queued = ProbeScore.objects.filter(state=ProbeScoreState.QUEUED, state_changed_at__lt=long_ago)
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _unmerged(now: datetime) -> list[str]:
    """Likewise what is to be merged."""
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    queued = unmerged().filter(state_changed_at__lt=long_ago)
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _undescribed(now: datetime) -> list[str]:
    """Versions whose evaluation has ended, and of which no commit says how."""
    described = VersionCommit.objects.filter(
        version=OuterRef("version"), reason=CommitReason.EVALUATED
    )
    ended = Round.objects.filter(
        ~Exists(described),
        version__isnull=False,
        state__in=[RoundState.CLOSED, RoundState.FAILED],
        state_changed_at__lt=_settled(now),
    )
    return _ids(ended.order_by("state_changed_at").values_list("version_id", flat=True)[:BATCH])


def _unpushed(now: datetime) -> list[str]:
    """Nothing waits for these either, and whoever is at one says so."""
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    queued = Push.objects.filter(
        Q(claimed_until__isnull=True) | Q(claimed_until__lt=now),
        state=PushState.QUEUED,
        state_changed_at__lt=long_ago,
    )
    return _ids(queued.values_list("pk", flat=True)[:BATCH])


def _ids(values: object) -> list[str]:
    return [str(v) for v in values]  # type: ignore[attr-defined]
