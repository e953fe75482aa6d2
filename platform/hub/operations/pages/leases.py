"""Work that agents hold, and rounds that wait for them: what is overdue comes first."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Q
from django.http import HttpRequest
from django.utils import timezone

from federation.protocol import TaskType
from hub.operations.pages.parts import Cell, Section, acts_of, link, moment, number, page_of
from hub.runs.models import Round, Task, TaskState
from hub.runs.selectors import ACTIVE_ROUNDS, OPEN_TASKS

SHOWN = 50


def sections(request: HttpRequest) -> Iterator[Section]:
    yield _rounds(request)
    yield _leases(request)


def _rounds(request: HttpRequest) -> Section:
    now = timezone.now()
    trains = Q(tasks__type=TaskType.TRAIN) | Q(tasks__type=TaskType.EVALUATE)
    rounds = (
        Round.objects.filter(state__in=ACTIVE_ROUNDS)
        .select_related("run__federation")
        .annotate(awaited=Count("tasks", filter=Q(tasks__state__in=OPEN_TASKS) & trains))
        .order_by("deadline_at")
    )
    found = list(rounds[:SHOWN])
    return Section(
        "Rounds under way",
        lead="The next look at a run closes or fails a round that is past its deadline.",
        head=("Round", "State", "Deadline", "Waits for", "Acts"),
        rows=[
            [
                link(one, f"{one.run.name}, round {one.number}", one.run.federation.name),
                _state(one, is_late=one.deadline_at < now),
                moment(one.deadline_at),
                number(one.awaited),
                acts_of(one, request),
            ]
            for one in found
        ],
        empty="No round is under way.",
        is_attention=any(one.deadline_at < now for one in found),
    )


def _leases(request: HttpRequest) -> Section:
    now = timezone.now()
    leased = (
        Task.objects.filter(state=TaskState.LEASED)
        .select_related("round__run__federation", "participation__organisation", "agent")
        .order_by("lease_expires_at")
    )
    page = page_of(leased, request)
    return Section(
        "Leases",
        lead="An agent renews its lease as long as it works; one that ran out is taken back.",
        head=("Run", "Organisation", "Agent", "Work", "Since", "Lease until", "Acts"),
        rows=[
            [
                link(one, f"{one.round.run.name}, round {one.round.number}"),
                link(one.participation.organisation),
                link(one.agent),
                _state(one, is_late=bool(one.lease_expires_at and one.lease_expires_at < now)),
                moment(one.leased_at),
                moment(one.lease_expires_at),
                acts_of(one, request),
            ]
            for one in page
        ],
        empty="No agent holds any work.",
        page=page,  # type: ignore[arg-type]  # a page of tasks is one of objects
    )


def _state(row: Round | Task, *, is_late: bool) -> Cell:
    words = row.type if isinstance(row, Task) else row.get_state_display()
    return Cell(words, tone="attention" if is_late else "active", note="overdue" if is_late else "")
