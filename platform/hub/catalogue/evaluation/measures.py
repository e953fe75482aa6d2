"""The one figure by which pages judge an adapter: accuracy, or perplexity of a language model."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import exp
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from hub.catalogue.models import Evaluation
from hub.catalogue.selectors import Measured, Pooled, pooled

HIGHEST_LOSS = 700.0  # e to this is the last that fits a float


@dataclass(frozen=True, slots=True)
class Measure:
    """How the figure is called, written and judged."""

    title: str  # in English, as exports have it
    format: str  # as c-chart has it: percent or number
    is_better_higher: bool

    @property
    def name(self) -> str:
        """In the reader's language."""
        return _(self.title)

    def of(self, measured: Measured | None) -> float | None:
        if measured is None:
            return None
        if self.is_better_higher:
            return measured.accuracy
        return exp(min(measured.loss, HIGHEST_LOSS))


ACCURACY = Measure(_noop("Accuracy"), "percent", is_better_higher=True)
PERPLEXITY = Measure(_noop("Perplexity"), "number", is_better_higher=False)


def measure_of(plan: Mapping[str, Any]) -> Measure:
    """What a run of this plan is judged by."""
    return measure_for(plan["task"]["type"])


def measure_for(task: str) -> Measure:
    """What a run with this type of task is judged by."""
    return PERPLEXITY if task == "causal_lm" else ACCURACY


@dataclass(frozen=True, slots=True)
class Score:
    """A figure beside the one it is compared with; either may be missing."""

    measure: Measure
    value: float | None
    before: float | None = None
    examples: int = 0
    places: int = 1  # organisations that have measured it
    expected: int = 0  # organisations that were asked to

    @property
    def is_partial(self) -> bool:
        """Whether it says nothing yet, or never will, about some of the test data."""
        return self.value is not None and self.places < self.expected

    @property
    def coverage(self) -> str:
        """«1 of 7 organisations»; empty where all have measured."""
        if not self.is_partial:
            return ""
        told = {"places": self.places, "expected": self.expected}
        return _("%(places)s of %(expected)s organisations") % told

    @property
    def change(self) -> float | None:
        if self.value is None or self.before is None:
            return None
        return self.value - self.before

    @property
    def tone(self) -> str:
        """positive, negative, or nothing where it stayed or nobody knows."""
        if not self.change:
            return ""
        is_better = (self.change > 0) == self.measure.is_better_higher
        return "positive" if is_better else "negative"

    @property
    def change_words(self) -> str:
        """«+34.1 points», «−2.301»; empty where nobody knows."""
        if self.change is None:
            return ""
        sign = "−" if self.change < 0 else "+"
        if self.measure.format == "percent":
            return _("%(change)s points") % {"change": f"{sign}{abs(self.change) * 100:.1f}"}
        return f"{sign}{abs(self.change):,.3f}"


@dataclass(frozen=True, slots=True)
class Scores:
    """Over all test data together, and for each participation."""

    whole: Score
    by_participation: Mapping[UUID, Score]


def scores(
    measure: Measure,
    after: Collection[Evaluation],
    before: Collection[Evaluation] = (),
    *,
    expected: int = 0,
) -> Scores:
    """Compare the evaluations of an adapter with those of the one it started from.

    Both figures are over the same test data: that of the organisations that measured the adapter,
    or of all who measured its start where nobody has yet. `expected` were asked to measure.
    """
    now, then = _summed(after), _summed(before)
    if now and then:
        then = _summed(one for one in before if one.participation_id in now.by_participation)
    whole = Score(
        measure,
        measure.of(now),
        measure.of(then),
        examples=now.examples if now else 0,
        places=len(now.by_participation) if now else 0,
        expected=expected,
    )
    return Scores(whole, _each(measure, now, then))


def _summed(evaluations: Iterable[Evaluation]) -> Pooled | None:
    given = list(evaluations)
    return pooled(given) if given else None


def _each(measure: Measure, now: Pooled | None, then: Pooled | None) -> Mapping[UUID, Score]:
    if now is None:
        return {}
    earlier = then.by_participation if then else {}
    return {
        place: Score(
            measure, measure.of(measured), measure.of(earlier.get(place)), measured.examples
        )
        for place, measured in now.by_participation.items()
    }
