"""What an operator wants to see at a glance: each figure and each list is one query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from django.db import connection
from django.db.models import Count, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Now
from django.utils import timezone

from hub.catalogue.models import Artifact
from hub.operations.roles import COULD_REWRITE
from hub.organisations.models import Agent, AgentState, Organisation, OrganisationState
from hub.runs.models import Round, Run, RunState

SILENT_AFTER = timedelta(minutes=5)
LIVE = (RunState.QUEUED, RunState.RUNNING, RunState.PAUSED)
REMEMBERED = timedelta(days=1)  # how long a failed run stays on the overview


def organisations_to_approve() -> QuerySet[Organisation]:
    """Who waits for an operator, longest first."""
    return Organisation.objects.filter(state=OrganisationState.PENDING).order_by("created_at")


def runs_at_work() -> QuerySet[Run]:
    """Runs in progress and those that failed of late, with the round they are in."""
    failed = Q(state=RunState.FAILED, ended_at__gt=Now() - REMEMBERED)
    current = Round.objects.filter(run=OuterRef("pk")).order_by("-number")
    return (
        Run.objects.filter(Q(state__in=LIVE) | failed)
        .select_related("federation")
        .annotate(
            round_number=Subquery(current.values("number")[:1]),
            round_state=Subquery(current.values("state")[:1]),
            deadline_at=Subquery(current.values("deadline_at")[:1]),
        )
        .order_by("-created_at")
    )


@dataclass(frozen=True, slots=True)
class Fleet:
    """The agents that may work: how many, which versions they run, and who is silent."""

    active: int
    seen: int
    versions: Sequence[tuple[str, int]]  # most frequent first
    silent: Sequence[Agent]  # longest first


def fleet() -> Fleet:
    """Everybody in one query: agents are counted in hundreds."""
    agents = Agent.objects.filter(state=AgentState.ACTIVE).select_related("organisation")
    everybody = list(agents.defer("federations"))
    limit = timezone.now() - SILENT_AFTER
    silent = [a for a in everybody if a.last_seen_at is None or a.last_seen_at < limit]
    return Fleet(
        active=len(everybody),
        seen=len(everybody) - len(silent),
        versions=Counter(a.version or "unknown" for a in everybody).most_common(),
        silent=sorted(silent, key=lambda a: a.last_seen_at or a.created_at),
    )


@dataclass(frozen=True, slots=True)
class Stored:
    artifacts: int
    bytes: int


def stored() -> Stored:
    found = Artifact.objects.aggregate(artifacts=Count("pk"), bytes=Sum("size_bytes"))
    return Stored(artifacts=found["artifacts"], bytes=found["bytes"] or 0)


@dataclass(frozen=True, slots=True)
class Database:
    version: str
    bytes: int
    connections: int
    most_connections: int
    could_rewrite: bool  # what is in a ledger


def database() -> Database:
    """How the database is; raises what Django raises when it is away."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('server_version'), pg_database_size(current_database()),"  # noqa: S608 (our own words)
            " (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),"
            f" current_setting('max_connections')::int, ({COULD_REWRITE})"
        )
        return Database(*cursor.fetchone())
