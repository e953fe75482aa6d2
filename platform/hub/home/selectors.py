"""Reads for a person's home page, over all that their organisations take part in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from django.db.models import Count, Exists, F, FilteredRelation, OuterRef, Q, QuerySet

from hub.accounts.models import User
from hub.catalogue.evaluation.measures import Score, measure_of, scores
from hub.catalogue.models import Evaluation
from hub.federations.models import Participation
from hub.federations.selectors import federations_of, places_of
from hub.runs.models import Purpose, Run, RunState
from hub.runs.selectors import ACTIVE_ROUNDS

LIVE = (RunState.QUEUED, RunState.RUNNING, RunState.PAUSED)
LIVE_SHOWN, RESULTS_SHOWN = 8, 3


def places_with_runs(user: User) -> QuerySet[Participation]:
    """The person's places in federations, and whether anything was ever run there."""
    runs = Run.objects.filter(federation=OuterRef("federation"))
    return places_of(user).annotate(has_runs=Exists(runs))


def live_runs(user: User) -> QuerySet[Run]:
    """Runs in progress with the round they are in and how many updates that has."""
    active = Q(rounds__state__in=ACTIVE_ROUNDS)
    training = Q(current__tasks__type="train")
    return (
        Run.objects.filter(federation__in=federations_of(user), state__in=LIVE)
        .select_related("federation")
        .annotate(
            current=FilteredRelation("rounds", condition=active),
            round_id=F("current__pk"),
            round_number=F("current__number"),
            round_state=F("current__state"),
            deadline_at=F("current__deadline_at"),
            expected=Count("current__tasks", filter=training, distinct=True),
            received=Count("current__updates", distinct=True),
        )
        .order_by("-created_at")[:LIVE_SHOWN]
    )


@dataclass(frozen=True, slots=True)
class Result:
    """What a completed run came to, beside where it began."""

    run: Run
    score: Score


def latest_results(user: User) -> list[Result]:
    """The last completed runs that were measured; two queries."""
    runs = list(
        Run.objects.filter(
            federation__in=federations_of(user),
            state=RunState.COMPLETED,
            purpose=Purpose.FEDERATED,
        )
        .select_related("federation")
        .order_by("-ended_at")[:RESULTS_SHOWN]
    )
    measured = Evaluation.objects.filter(run_id__in=[run.pk for run in runs], round_number__gte=0)
    by_run = {
        run_id: list(evaluations)
        for run_id, evaluations in groupby(
            measured.order_by("run_id", "round_number"), key=lambda one: one.run_id
        )
    }
    return [_result(run, by_run.get(run.pk, [])) for run in runs]


def _result(run: Run, evaluations: Sequence[Evaluation]) -> Result:
    """The last round that was measured against the first."""
    numbers = [one.round_number for one in evaluations]
    last = [one for one in evaluations if one.round_number == max(numbers)]
    first = [one for one in evaluations if one.round_number == min(numbers)]
    before = first if first != last else ()
    found = scores(measure_of(run.plan), last, before, expected=len(run.evaluators))
    return Result(run, found.whole)
