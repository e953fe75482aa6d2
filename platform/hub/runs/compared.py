"""Versions side by side: figures, what they confuse, their plans, and how far apart they are."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from uuid import UUID

from django.utils.translation import gettext as _

from federation.figures import by_label
from federation.plan import Plan
from federation.plan_tasks import Labelled
from federation.protocol import Cell, EvaluationResult
from federation.tallies import pool
from hub.accounts.models import User
from hub.catalogue.evaluation.confusions import FEW, FEWEST_PLACES
from hub.catalogue.evaluation.measures import Measure, Score
from hub.catalogue.models import Distance, DistanceState, ModelVersion, Tally
from hub.catalogue.versions.distances import Apart, apart, distances_between
from hub.catalogue.versions.lines import VersionRow, version_rows
from hub.federations.places import Place, places_in
from hub.runs.planwords import described

ROWS_SHOWN = 10  # of labels and of confusions: the largest differences first


@dataclass(frozen=True, slots=True)
class Figures:
    """One line of figures, a column for each version; changes are from the first column."""

    name: str
    scores: Sequence[Score]
    hue: int | None = None

    @property
    def columns(self) -> list[Score]:
        """Each beside the first one, which is beside nothing."""
        first = self.scores[0]
        others = (
            Score(one.measure, one.value, first.value if is_alike(first, one) else None)
            for one in self.scores[1:]
        )
        return [Score(first.measure, first.value), *others]


def is_alike(one: Score, other: Score) -> bool:
    return one.measure == other.measure


@dataclass(frozen=True, slots=True)
class Shares:
    """How often something happened, of how often it could have; a column for each version."""

    words: str
    shares: Sequence[float | None]

    @property
    def width(self) -> float:
        known = [share for share in self.shares if share is not None]
        return max(known) - min(known) if known else 0.0


@dataclass(frozen=True, slots=True)
class Difference:
    """A value of the plan in which the versions differ."""

    section: str
    label: str
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Pair:
    start: ModelVersion
    end: ModelVersion
    distance: Distance | None

    @property
    def change(self) -> Apart | None:
        return apart(self.distance, "change", self.start) if self.distance else None

    @property
    def values(self) -> Apart | None:
        return apart(self.distance, "values", self.start) if self.distance else None


@dataclass(frozen=True, slots=True)
class _Told:
    """What a version's tallies say together."""

    labels: Sequence[str]
    confusion: Sequence[Cell]
    sizes: Mapping[int, int] = field(default_factory=dict)  # examples by label


class Compared:
    def __init__(self, versions: Sequence[ModelVersion], user: User) -> None:
        """`versions` of one federation come from `with_origin`, in the order of the columns."""
        self.versions = versions
        self.user = user

    @cached_property
    def rows(self) -> list[VersionRow]:
        return version_rows(self.versions)

    @cached_property
    def plans(self) -> list[Plan]:
        return [Plan.model_validate_json(json.dumps(one.plan)) for one in self.versions]

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.versions[0].federation_id, self.user)

    @property
    def measure(self) -> Measure:
        return self.rows[0].score.measure

    @property
    def are_judged_alike(self) -> bool:
        return len({row.score.measure for row in self.rows}) == 1

    @property
    def whole(self) -> Figures:
        """Over all test data together."""
        return Figures(_("All together"), [row.score for row in self.rows])

    @property
    def coverages(self) -> list[str]:
        """Whose data each figure is about: «1 of 7 organisations»."""
        return [
            _("nobody yet") if score.value is None else score.coverage or _("all who were asked")
            for score in (row.score for row in self.rows)
        ]

    @property
    def by_place(self) -> list[Figures]:
        """Of each organisation that has measured one of them."""
        lines = (
            Figures(place.name, list(self._scores(place.id)), place.hue)
            for place in self.places.values()
        )
        return [line for line in lines if any(one.value is not None for one in line.scores)]

    def _scores(self, place: UUID) -> Iterator[Score]:
        for row in self.rows:
            yield row.scores.by_participation.get(place) or Score(row.score.measure, None)

    # --------------------------------------------------------------- confusions

    @cached_property
    def _told(self) -> list[_Told | None]:
        """By version; nothing of those that have no labels, or not these."""
        results: dict[UUID | None, list[EvaluationResult]] = defaultdict(list)
        asked = Tally.objects.filter(evaluation__version__in=self.versions)
        for tally in asked.select_related("evaluation"):
            results[tally.evaluation.version_id].append(tally.result)
        return [
            _told_by(plan, results[version.pk])
            for version, plan in zip(self.versions, self.plans, strict=True)
        ]

    @property
    def _comparable(self) -> list[_Told] | None:
        """What is known, where it is known of all and about the same labels."""
        known = [one for one in self._told if one is not None]
        is_whole = len(known) == len(self.versions)
        return known if is_whole and len({tuple(one.labels) for one in known}) == 1 else None

    @property
    def recalls(self) -> list[Shares]:
        """How much of each label is found; the largest differences first."""
        told = self._comparable
        if told is None:
            return []
        found = [{one.label: one.recall for one in by_label(t.confusion)} for t in told]
        labels = sorted({label for recalls in found for label in recalls})
        rows = [Shares(told[0].labels[n], [recalls.get(n) for recalls in found]) for n in labels]
        return _widest(rows)

    @property
    def confusions(self) -> list[Shares]:
        """What is taken for what, of all examples of the first; the largest differences first.

        Shares of what happened only a few times are not told.
        """
        told = self._comparable
        if told is None:
            return []
        counts = [{(true, said): count for true, said, count in one.confusion} for one in told]
        pairs = sorted({pair for found in counts for pair in found if pair[0] != pair[1]})
        labels = told[0].labels
        rows = [
            Shares(
                _("%(label)s taken for %(other)s") % {"label": labels[true], "other": labels[said]},
                [
                    _share(found.get((true, said), 0), one.sizes.get(true, 0))
                    for found, one in zip(counts, told, strict=True)
                ],
            )
            for true, said in pairs
        ]
        return _widest(rows)

    # -------------------------------------------------------- plans and distances

    @property
    def differences(self) -> list[Difference]:
        """What the plans do not have in common, in words."""
        told = [_words(plan) for plan in self.plans]
        every = dict.fromkeys(key for words in told for key in words)
        rows = (Difference(*key, [words.get(key, "–") for words in told]) for key in every)
        return [row for row in rows if len(set(row.texts)) > 1]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Each version with each later one."""
        known = distances_between(self.versions)
        return [
            Pair(one, other, known.get((one.pk, other.pk)))
            for one, other in combinations(self.versions, 2)
        ]

    @property
    def is_waiting(self) -> bool:
        return any(
            pair.distance and pair.distance.state == DistanceState.QUEUED for pair in self.pairs
        )

    @property
    def may_measure(self) -> bool:
        """Whether a pair is left that nobody has asked for, or that failed."""
        return any(
            pair.distance is None or pair.distance.state == DistanceState.FAILED
            for pair in self.pairs
        )


def _told_by(plan: Plan, results: Iterable[EvaluationResult]) -> _Told | None:
    """Nothing of two organisations: each could take off its own counts and have the other's."""
    given = list(results)
    if len(given) < FEWEST_PLACES or not isinstance(plan.task, Labelled):
        return None
    confusion = pool(given).confusion
    if confusion is None:
        return None
    sizes = {one.label: one.examples for one in by_label(confusion)}
    return _Told(plan.task.labels, confusion, sizes)


def _share(count: int, of: int) -> float | None:
    return None if not of or 0 < count < FEW else count / of


def _widest(rows: Iterable[Shares]) -> list[Shares]:
    differing = (row for row in rows if row.width > 0)
    return sorted(differing, key=lambda row: (-row.width, row.words))[:ROWS_SHOWN]


def _words(plan: Plan) -> dict[tuple[str, str], str]:
    """Each value of a plan as its form calls it."""
    return {
        (section.title, fact.label): ", ".join(map(str, fact.words)) or fact.text
        for section in described(plan)
        for fact in section.facts
    }
