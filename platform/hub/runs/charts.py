"""The figures of a run as the chart component takes them: labels, and a series for each curve."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, TypeAlias
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.protocol import TaskType
from hub.catalogue.evaluation.measures import Measure
from hub.catalogue.models import BASE_ROUND, Evaluation
from hub.catalogue.selectors import pooled
from hub.federations.places import Place
from hub.runs.models import Round
from hub.runs.point_models import TrainingPoint

Chart: TypeAlias = dict[str, Any]
Places: TypeAlias = Mapping[UUID, Place]
Spot: TypeAlias = tuple[int, int]  # a round, and a stretch of it

MOST_LABELS = 60
MOST_POINTS = 5000
MOST_STRETCHES = 10  # of a round
START = _noop("start")
BASE = _noop("without us")  # what the base model does by itself
PROBE = _noop("Public probe set")
EMPTY: Mapping[int, float | None] = {}
LEAST_SHARE = 0.01  # the top of an axis of shares that are all but nothing


def thinned(last: int, most: int = MOST_LABELS) -> list[int]:
    """Rounds from 0, the start, to the last; no more than `most`, evenly spread."""
    if last < most:
        return list(range(last + 1))
    return sorted({round(i * last / (most - 1)) for i in range(most)})


def measured_by_round(
    measure: Measure,
    evaluations: Iterable[Evaluation],
    places: Places,
    *,
    expected: int = 0,
    probe: Mapping[int, float | None] = EMPTY,
    start: str = START,
) -> Chart | None:
    """The measure of each organisation after each round, and of all test data together.

    A figure of all there is only where all that were `expected` to measure have done so. `probe`:
    by round, what the hub measured on the public probe set. `start`: what a run's start is called.
    """
    by_round: dict[int, list[Evaluation]] = defaultdict(list)
    for evaluation in evaluations:
        by_round[evaluation.round_number].append(evaluation)
    rounds = sorted(by_round.keys() | probe.keys())
    if not rounds:
        return None
    found = [pooled(by_round[number]) if number in by_round else None for number in rounds]
    whole = {
        "name": _("All test data"),
        "values": [
            measure.of(one) if one and len(one.by_participation) >= expected else None
            for one in found
        ],
        "strong": True,
    }
    each = [
        {
            "name": place.name,
            "values": [
                measure.of(one.by_participation.get(place.id)) if one else None for one in found
            ],
            "hue": place.hue,
        }
        for place in places.values()
        if any(one and place.id in one.by_participation for one in found)
    ]
    on_probe = {
        "name": _(PROBE),
        "values": [probe.get(number) for number in rounds],
        "strong": True,
        "dashed": True,
    }
    return {
        "labels": [_label(number, start) for number in rounds],
        "series": [*([whole] if by_round else []), *each, *([on_probe] if probe else [])],
    }


def _label(number: int, start: str) -> str:
    starts = {BASE_ROUND: BASE, 0: start}
    return _(starts[number]) if number in starts else str(number)


def nothing_yet(places: Iterable[Place], label: str) -> Chart:
    """A chart that waits for its first point, as high as it will be then."""
    series = [{"name": place.name, "values": [None], "hue": place.hue} for place in places]
    return {"labels": [_(label)], "series": series}


def training_loss(run_id: UUID, places: Places) -> Chart | None:
    """The training loss of each organisation along the rounds, from what its agents told."""
    points = _points(run_id)
    if not points:
        return None
    last = max(number for number, *_rest in points)
    first = max(min(number for number, *_rest in points), last + 1 - MOST_LABELS)
    stretches = max(1, min(MOST_STRETCHES, MOST_LABELS // (last + 1 - first)))
    cells = _cells(points, stretches, since=first)
    spots = _all_between({spot for by_spot in cells.values() for spot in by_spot}, stretches)
    return {
        "labels": [f"{round(number + part / stretches, 2):g}" for number, part in spots],
        "series": [
            {
                "name": place.name,
                "values": [_mean(cells[place.id].get(spot)) for spot in spots],
                "hue": place.hue,
            }
            for place in places.values()
            if place.id in cells
        ],
        "spanned": True,
    }


def _all_between(spots: Collection[Spot], stretches: int) -> list[Spot]:
    """Every spot from the first to the last, so that equal spans are equally wide."""
    first, last = min(spots), max(spots)
    rounds = range(first[0], last[0] + 1)
    every = [(number, part) for number in rounds for part in range(stretches)]
    return [spot for spot in every if first <= spot <= last]


def _points(run_id: UUID) -> list[tuple[int, UUID, int, int, float]]:
    """Round, participation, step, steps of the task and loss; the newest, in their order."""
    told = (
        TrainingPoint.objects.filter(task__round__run_id=run_id, task__type=TaskType.TRAIN)
        .order_by("-id")
        .values_list(
            "task__round__number",
            "task__participation_id",
            "task_id",
            "step",
            "task__progress__steps",
            "task__update__steps",
            "loss",
        )[:MOST_POINTS]
    )
    rows = list(told)[::-1]
    longest: dict[UUID, int] = defaultdict(int)
    for _number, _place, task, step, planned, done, _loss in rows:
        longest[task] = max(longest[task], step, planned or 0, done or 0)
    return [
        (number, place, step, longest[task], loss)
        for number, place, task, step, _planned, _done, loss in rows
    ]


def _cells(
    points: Sequence[tuple[int, UUID, int, int, float]], stretches: int, *, since: int
) -> dict[UUID, dict[Spot, list[float]]]:
    """Losses by participation and by stretch of a round."""
    cells: dict[UUID, dict[Spot, list[float]]] = defaultdict(lambda: defaultdict(list))
    for number, place, step, steps, loss in points:
        if number >= since:
            part = min(stretches * step // max(steps, 1), stretches - 1)
            cells[place][number, part].append(loss)
    return cells


def _mean(values: Sequence[float] | None) -> float | None:
    return sum(values) / len(values) if values else None


def aggregation_error(rounds: Sequence[Round]) -> Chart | None:
    """Of each round: how far what was published is from the exact result, and what was cut away.

    The rounds come with `relative_error` and `discarded_energy`, as `rounds_of` reads them.
    """
    if not rounds:
        return None
    names = {"relative_error": _("Relative error"), "discarded_energy": _("Energy cut away")}
    return {
        "labels": [str(one.number) for one in rounds],
        "series": [
            {"name": words, "values": [getattr(one, name) for one in rounds], "hue": hue}
            for hue, (name, words) in enumerate(names.items())
        ],
        "floor": {"min": 0, "suggestedMax": LEAST_SHARE},
    }
