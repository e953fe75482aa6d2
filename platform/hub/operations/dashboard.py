"""The operator's overview: who waits, what runs, what is stuck, and how the machines are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from django.db.models import Model
from django.http import HttpRequest
from django.urls import reverse

from hub.common.acts import act_url, acts_for, change_url
from hub.common.console import has_second_factor
from hub.common.errors import DependencyDown
from hub.operations import machines, selectors
from hub.operations.troubles import TROUBLES, Found, Trouble, found_among
from hub.runs.models import Run

ROWS = 5  # of each list; the rest is a click away
MOST_RUNS = 12
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Line:
    """One row of a list: what it is, where it is shown, and what may be done to it."""

    name: str
    url: str
    acts: Sequence[tuple[str, str]]  # label, address
    row: Any


@dataclass(frozen=True, slots=True)
class Stuck:
    trouble: Trouble
    count: int
    oldest: datetime | None
    lines: Sequence[Line]
    url: str  # of the list of all of them


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Fill unfold's index page; a service that is away leaves its own place empty."""
    home = reverse("admin:index")
    waiting = list(selectors.organisations_to_approve()[: ROWS + 1])
    fleet = selectors.fleet()
    runs = list(selectors.runs_at_work()[: MOST_RUNS + 1])
    troubles = found_among(TROUBLES)
    return {
        **context,
        "organisations": [line(row, home) for row in waiting[:ROWS]],
        "more_organisations": len(waiting) > ROWS,
        "fleet": fleet,
        "silent": [line(agent, home) for agent in fleet.silent[:ROWS]],
        "runs": [at_work(run, home) for run in runs[:MOST_RUNS]],
        "runs_live": sum(not run.is_final for run in runs),
        "stuck": [stuck(found, home) for found in troubles if found.count],
        "stuck_count": sum(found.count for found in troubles),
        "looked_for": [trouble.title for trouble in TROUBLES],
        "queues": answer(machines.queue_lengths),
        "redis": answer(machines.redis_health),
        "database": selectors.database(),
        "stored": selectors.stored(),
        "disk": machines.blob_disk(),
        "second_factor": has_second_factor(request),
    }


def answer(ask: Callable[[], T]) -> T | None:
    """What a service says; nothing when it is away."""
    try:
        return ask()
    except DependencyDown:
        return None


def line(row: Model, back: str, *, named: str = "") -> Line:
    acts = [(act.label, act_url(row, act.name, back=back)) for act in acts_for(row)]
    return Line(name=named or str(row), url=change_url(row), acts=acts, row=row)


def at_work(run: Run, back: str) -> Line:
    found = line(run, back)
    run.rounds_planned = run.plan["rounds"]["count"]  # type: ignore[attr-defined]
    return found


def stuck(found: Found, back: str) -> Stuck:
    return Stuck(
        trouble=found.trouble,
        count=found.count,
        oldest=found.oldest,
        lines=[line(one.row, back, named=one.words) for one in found.examples],
        url=listing(type(found.examples[0].row), found.trouble.states),
    )


def listing(model: type[Model], states: Sequence[str] = ()) -> str:
    """The console's list of a model, narrowed to some states."""
    url = reverse(f"admin:{model._meta.label_lower.replace('.', '_')}_changelist")  # noqa: SLF001
    return f"{url}?state__in={','.join(states)}" if states else url
