"""Finds valuations that everybody has forgotten, and asks for them again."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, Q, QuerySet

from hub.common.models import OutboxMessage
from hub.contributions.models import CoalitionScore, Valuation, ValuationState
from hub.dispatch import Job, enqueue
from hub.runs.models import Task
from hub.runs.selectors import OPEN_TASKS
from hub.runs.services.locks import database_now
from hub.runs.services.reconciler import AGAIN_AFTER

BATCH = 50


@transaction.atomic
def resume_valuations() -> int:
    """Ask for what is due and not on its way; returns how many. Asked twice, it is done once."""
    now = database_now()
    soon = now - timedelta(seconds=AGAIN_AFTER * settings.RECONCILE_SECONDS)
    long_ago = now - timedelta(seconds=10 * settings.CLAIM_SECONDS)
    due = [*_unasked(_stuck(now), soon), *_unasked(_going_on(long_ago), long_ago)]
    for pk in dict.fromkeys(due):
        enqueue(Job.VALUE_ROUND, pk)
    return len(due)


def _stuck(now: datetime) -> QuerySet[Valuation]:
    """Those whose workers died, whose members have all answered, or whose time is over."""
    unmeasured = CoalitionScore.objects.filter(valuation=OuterRef("pk"), losses__isnull=True)
    awaited = Task.objects.filter(about=OuterRef("pk"), state__in=OPEN_TASKS)
    answered = Q(~Exists(awaited) | Q(deadline_at__lt=now), spec__probe="members")
    overtaken = Q(Exists(unmeasured.filter(claimed_until__lt=now)))
    return Valuation.objects.filter(answered | overtaken, state=ValuationState.MEASURING)


def _going_on(before: datetime) -> QuerySet[Valuation]:
    """A worker may be busy with something else for long, and nothing waits for these."""
    states = [ValuationState.QUEUED, ValuationState.MEASURING]
    return Valuation.objects.filter(state__in=states, state_changed_at__lt=before)


def _unasked(valuations: QuerySet[Valuation], since: datetime) -> list[str]:
    """Those that nobody has asked for of late."""
    asked = set(
        OutboxMessage.objects.filter(job=Job.VALUE_ROUND, created_at__gt=since).values_list(
            "arguments__0", flat=True
        )
    )
    found = valuations.order_by("state_changed_at").values_list("pk", flat=True)[:BATCH]
    return [str(pk) for pk in found if str(pk) not in asked]
