"""A run in figures, for the tools that people keep their experiments in.

The names of organisations are their short names, which every tool takes as they are.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hub.catalogue.evaluation.measures import measure_of
from hub.catalogue.models import Evaluation
from hub.catalogue.selectors import pooled
from hub.runs.models import Round, Run
from hub.runs.point_models import TrainingPoint

ALL = "all"
OF_REPORT = ("relative_error", "discarded_energy")


@dataclass(frozen=True, slots=True)
class Figure:
    """One value of a series: `step` is a round, or for a loss in training a step of it."""

    name: str
    step: int
    value: float
    at: datetime


def figures_of(run: Run) -> Iterator[Figure]:
    """Everything that was measured, finite values only; by series and step."""
    for figure in (*_evaluations(run), *_reports(run), *_training(run)):
        if math.isfinite(figure.value):
            yield figure


def settings_of(run: Run) -> Mapping[str, str]:
    """The plan, flat: «training.learning_rate»."""
    return dict(_flat("", run.plan))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else name, inner)
    else:
        yield prefix, str(value)


def _evaluations(run: Run) -> Iterator[Figure]:
    """Round 0 is the start: what the adapter could do before anybody trained."""
    measure = measure_of(run.plan)
    by_round: dict[int, list[Evaluation]] = defaultdict(list)
    found = Evaluation.objects.filter(run_id=run.pk)
    for one in found.select_related("participation__organisation").order_by("round_number"):
        by_round[one.round_number].append(one)
    for step, given in by_round.items():
        at = max(one.created_at for one in given)
        whole = pooled(given)
        slugs = {one.participation_id: one.participation.organisation.slug for one in given}
        each = [(ALL, whole), *((slugs[pk], own) for pk, own in whole.by_participation.items())]
        for whose, measured in each:
            yield Figure(f"loss/{whose}", step, measured.loss, at)
            if (value := measure.of(measured)) is not None:
                yield Figure(f"{measure.title.lower()}/{whose}", step, value, at)


def _reports(run: Run) -> Iterator[Figure]:
    rounds = Round.objects.filter(run=run, version__isnull=False).select_related("version")
    for one in rounds.order_by("number"):
        assert one.version is not None
        for name in OF_REPORT:
            if isinstance(value := one.version.report.get(name), int | float):
                yield Figure(f"aggregation/{name}", one.number, value, one.version.created_at)


def _training(run: Run) -> Iterator[Figure]:
    """The steps of an organisation go on from round to round."""
    before: dict[str, int] = defaultdict(int)
    last: dict[str, tuple[int, int]] = {}
    points = TrainingPoint.objects.filter(task__round__run=run).select_related(
        "task__round", "task__participation__organisation"
    )
    for point in points.order_by("task__round__number", "task_id", "step").iterator():
        slug, number = point.task.participation.organisation.slug, point.task.round.number
        if slug in last and last[slug][0] != number:
            before[slug] += last[slug][1]
        last[slug] = (number, point.step)
        yield Figure(f"training_loss/{slug}", before[slug] + point.step, point.loss, point.at)
