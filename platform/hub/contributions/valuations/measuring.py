"""Measuring coalitions on a public probe set: a few at a time, by as many workers as there are.

A worker holds the rows that it measures, and writes each down as soon as it is known. The rows of
one that died are taken by another, and come to the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.db.models import F, Q, QuerySet

from federation import valuation as pure
from federation.plan import Plan
from hub.catalogue.models import BaseModel, Probe
from hub.contributions.models import CoalitionScore, Valuation, ValuationState
from hub.contributions.valuations.life import fail_locked, lock_valuation
from hub.contributions.valuations.rows import (
    evidence_of,
    ids_of,
    members_of,
    spec_of,
    sums_of,
)
from hub.dispatch import Job, enqueue
from hub.runs.services.claims import MOST_ATTEMPTS
from hub.runs.services.locks import database_now

BATCH = 16  # coalitions that a worker takes at a time
MOST_AT_ONCE = 32  # messages that are sent for a valuation; workers send more as they go


@dataclass(frozen=True, slots=True)
class Batch:
    """Some coalitions that a worker holds, and what it needs to measure them."""

    valuation_id: UUID
    evidence: pure.Evidence
    plan: Plan
    base_model: BaseModel
    stacked: str  # sha256
    probe: Probe
    most: int  # examples
    players: Mapping[str, Sequence[str]]  # the digests of each one's updates
    wanted: Mapping[pure.Coalition, int]  # by coalition, the id of its row


@transaction.atomic
def claim_batch(*, valuation_id: UUID) -> Batch | None:
    """Hold a few coalitions that nobody measures; nothing where there are none."""
    found = lock_valuation(valuation_id)
    if found.state != ValuationState.MEASURING or found.probe is None or not found.stacked_id:
        return None
    evidence = evidence_of(found.method)
    rows = list(waiting_rows(found).select_for_update(skip_locked=True))
    rows = rows if evidence == "slopes" else rows[:BATCH]  # one pass gives all of these
    if not rows:
        return None
    if rows[0].attempts >= MOST_ATTEMPTS:
        fail_locked(found, code="gave_up", reason=f"measuring died {MOST_ATTEMPTS} times")
        return None
    held = CoalitionScore.objects.filter(pk__in=[row.pk for row in rows])
    held.update(claimed_until=_later(), attempts=F("attempts") + 1)
    ids = ids_of(found)
    return Batch(
        valuation_id=found.pk,
        evidence=evidence,
        plan=found.round.run.typed_plan,
        base_model=found.round.run.federation.base_model,
        stacked=found.stacked_id,
        probe=found.probe,
        most=spec_of(found).examples,
        players={player["id"]: player["updates"] for player in found.players},
        wanted={members_of(ids, row.coalition): row.pk for row in rows},
    )


def waiting_rows(found: Valuation) -> QuerySet[CoalitionScore]:
    """What is to be measured on the public set, and nobody holds."""
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=database_now())
    return unmeasured(found).filter(free).order_by("id")


def unmeasured(found: Valuation) -> QuerySet[CoalitionScore]:
    return found.scores.filter(owner__isnull=True, losses__isnull=True)


def _later() -> datetime:
    return database_now() + timedelta(seconds=settings.CLAIM_SECONDS)


@transaction.atomic
def record_measured(*, batch: Batch, measured: pure.Measured, seconds: float) -> None:
    """Write one coalition's losses down, and go on holding the rest; what is there stays."""
    row = batch.wanted[measured.coalition]
    CoalitionScore.objects.filter(pk=row, losses__isnull=True).update(
        claimed_until=None, **sums_of(measured)
    )
    held = CoalitionScore.objects.filter(pk__in=batch.wanted.values(), losses__isnull=True)
    held.update(claimed_until=_later())
    Valuation.objects.filter(pk=batch.valuation_id).update(seconds=F("seconds") + seconds)


@transaction.atomic
def let_go(*, batch: Batch) -> None:
    """Give back what there was no time for."""
    held = CoalitionScore.objects.filter(pk__in=batch.wanted.values(), losses__isnull=True)
    held.update(claimed_until=None, attempts=F("attempts") - 1)


def ask_workers(found: Valuation) -> None:
    """Send as many messages as there are batches, so that all workers take part."""
    batches = -(-unmeasured(found).count() // BATCH)
    for _ in range(min(batches, MOST_AT_ONCE)):
        enqueue(Job.VALUE_ROUND, str(found.pk))
