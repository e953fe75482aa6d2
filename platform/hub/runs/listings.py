"""Lists of runs: which to show, and what a line says of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db.models import Case, IntegerField, OuterRef, Q, QuerySet, Subquery, Value, When
from django.utils import timezone

from hub.accounts.models import User
from hub.catalogue.evaluation.measures import Score, measure_of, scores
from hub.catalogue.models import Evaluation
from hub.runs.forms import LIVE
from hub.runs.models import Round, RoundState, Run, RunState
from hub.runs.selectors import runs_visible_to

GOING_ON = (RunState.RUNNING, RunState.PAUSED, RunState.QUEUED)


@dataclass(frozen=True, slots=True)
class RunRow:
    run: Run
    rounds: int  # planned
    done: int
    score: Score  # the latest, beside the start
    lasted: timedelta | None


def runs_in_view(user: User, chosen: Mapping[str, Any]) -> QuerySet[Run]:
    """The runs that the filter leaves: those going on first, then drafts, then the newest."""
    last = Evaluation.objects.filter(run_id=OuterRef("pk")).order_by("-round_number")
    found = (
        runs_visible_to(user)
        .select_related("created_by")
        .annotate(urgency=_urgency(), measured=Subquery(last.values("round_number")[:1]))
        .order_by("urgency", "-created_at")
    )
    if chosen.get("federation"):
        found = found.filter(federation=chosen["federation"])
    if state := chosen.get("state"):
        found = found.filter(state__in=GOING_ON if state == LIVE else (state,))
    return found


def _urgency() -> Case:
    return Case(
        When(state__in=GOING_ON, then=Value(0)),
        When(state=RunState.DRAFT, then=Value(1)),
        default=Value(2),
        output_field=IntegerField(),
    )


def listed(runs: Iterable[Run]) -> Sequence[RunRow]:
    """A line for each run of a page; two queries, however many they are."""
    given = list(runs)
    latest = _latest_rounds(given)
    measured = _evaluations(given)
    return [_row(run, latest.get(run.pk), measured) for run in given]


def _latest_rounds(runs: Sequence[Run]) -> Mapping[UUID, Round]:
    newest = Round.objects.filter(run__in=runs).order_by("run_id", "-number").distinct("run_id")
    return {one.run_id: one for one in newest}


def _evaluations(runs: Sequence[Run]) -> Mapping[tuple[UUID, int], list[Evaluation]]:
    """Of the start and of the last measured round of each run."""
    wanted = Q(run_id__in=[run.pk for run in runs], round_number=0)
    for run in runs:
        if number := run.measured:  # type: ignore[attr-defined]
            wanted |= Q(run_id=run.pk, round_number=number)
    found: dict[tuple[UUID, int], list[Evaluation]] = defaultdict(list)
    for evaluation in Evaluation.objects.filter(wanted):
        found[evaluation.run_id, evaluation.round_number].append(evaluation)
    return found


def _row(
    run: Run, latest: Round | None, measured: Mapping[tuple[UUID, int], list[Evaluation]]
) -> RunRow:
    after = measured.get((run.pk, run.measured or 0), ())  # type: ignore[attr-defined]
    before = measured.get((run.pk, 0), ())
    done = latest.number - (latest.state != RoundState.CLOSED) if latest else 0
    end = run.ended_at or timezone.now()
    return RunRow(
        run=run,
        rounds=run.plan["rounds"]["count"],
        done=done,
        score=scores(measure_of(run.plan), after, before, expected=len(run.evaluators)).whole,
        lasted=end - run.started_at if run.started_at else None,
    )
