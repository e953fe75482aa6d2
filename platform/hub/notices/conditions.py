"""What happens by nothing happening: each occurrence leaves one event, and is told like others."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.utils import timezone

from hub.accounts.models import ApiToken
from hub.common.actors import HUB
from hub.common.models import Event
from hub.notices.models import Occurrence
from hub.notices.standing import silent_agents, stuck_rounds, unprepared_runs
from hub.organisations.models import Agent
from hub.runs.models import Round, RoundState, Run

LONG_AGO = timedelta(days=30)  # an agent that fell silent before that is no news
EXPIRING = timedelta(days=7)
KEPT = timedelta(days=90)
BATCH = 200


@dataclass(frozen=True, slots=True)
class Noticed:
    """One occurrence: of what, since when, and the event that it leaves."""

    kind: str
    object_id: UUID
    since: datetime
    data: dict[str, Any]
    reason: str = ""
    organisation_id: UUID | None = None
    federation_id: UUID | None = None
    run_id: UUID | None = None


def notice_conditions() -> int:
    """Leave an event for each agent that fell silent, stuck run and token that ends soon; once."""
    found = [*_silent(), *_unprepared(), *_stuck(), *_expiring()]
    return sum(_left(one) for one in found)


def forget_occurrences() -> None:
    """Let go of what no condition looks back to."""
    Occurrence.objects.filter(at__lt=timezone.now() - KEPT).delete()


@transaction.atomic
def _left(one: Noticed) -> bool:
    """Whether this call was the first to notice it; another at the same time waits, and is not."""
    _, is_new = Occurrence.objects.get_or_create(
        kind=one.kind, object_id=one.object_id, since=one.since
    )
    if is_new:
        Event.objects.create(
            kind=one.kind,
            subject_id=one.object_id,
            reason=one.reason,
            actor_kind=HUB.kind,
            actor_label=HUB.label,
            organisation_id=one.organisation_id,
            federation_id=one.federation_id,
            run_id=one.run_id,
            data=one.data,
        )
    return is_new


def _unseen(rows: QuerySet[Any], kind: str, *, about: str, since: str) -> QuerySet[Any]:
    """Those whose present occurrence has left no event; a bounded number."""
    noticed = Occurrence.objects.filter(kind=kind, object_id=OuterRef(about), since=OuterRef(since))
    return rows.filter(~Exists(noticed)).order_by(since)[:BATCH]


def _silent() -> Iterator[Noticed]:
    now = timezone.now()
    agents = silent_agents().filter(last_seen_at__gt=now - LONG_AGO)
    agent: Agent
    for agent in _unseen(
        agents.select_related("organisation"), "agent.silent", about="pk", since="last_seen_at"
    ):
        assert agent.last_seen_at is not None
        minutes = int((now - agent.last_seen_at).total_seconds() // 60)
        yield Noticed(
            kind="agent.silent",
            object_id=agent.pk,
            since=agent.last_seen_at,
            organisation_id=agent.organisation_id,
            data={
                "agent": agent.name,
                "organisation": agent.organisation.name,
                "minutes": minutes,
            },
        )


def _unprepared() -> Iterator[Noticed]:
    run: Run
    for run in _unseen(unprepared_runs(), "run.stuck", about="pk", since="state_changed_at"):
        yield _stuck_run(run, run.state_changed_at, "nobody prepares it")


def _stuck() -> Iterator[Noticed]:
    rounds = stuck_rounds().select_related("run")
    found: Round
    for found in _unseen(rounds, "run.stuck", about="run_id", since="state_changed_at"):
        is_overdue = found.state != RoundState.AGGREGATING
        why = "is past its deadline" if is_overdue else "is aggregated by nobody"
        yield _stuck_run(found.run, found.state_changed_at, f"round {found.number} {why}")


def _stuck_run(run: Run, since: datetime, reason: str) -> Noticed:
    return Noticed(
        kind="run.stuck",
        object_id=run.pk,
        since=since,
        reason=reason,
        federation_id=run.federation_id,
        run_id=run.pk,
        data={"run": run.name},
    )


def _expiring() -> Iterator[Noticed]:
    now = timezone.now()
    tokens = ApiToken.objects.filter(
        expiry__gt=now, expiry__lt=now + EXPIRING, user__is_active=True
    )
    # A token that was made for less than a week is not expected to last.
    lasting = tokens.filter(created__lt=F("expiry") - EXPIRING)
    for token in _unseen(lasting, "token.expiring", about="user_id", since="expiry"):
        yield Noticed(
            kind="token.expiring",
            object_id=token.user_id,
            since=token.expiry,
            data={"token": token.name, "date": f"{token.expiry.day} {token.expiry:%B %Y}"},
        )
