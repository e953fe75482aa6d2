"""What evaluations say of a version: pooled, by organisation, by label; and who sees which of it.

Figures of an organisation (examples, accuracy, loss) are everybody's in the federation. What its
answers were taken for is its own: others see only what at least three organisations add up to,
where nobody finds another's counts by taking off their own, and counts below five as «few».
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any
from uuid import UUID

from federation.figures import (
    Dispersion,
    OfLabel,
    accuracy,
    area_under_curve,
    dispersion,
    macro_f1,
    mean_loss,
    tail,
    top_confusions,
)
from federation.protocol import EvaluationResult
from federation.tallies import pool
from hub.accounts.models import User
from hub.catalogue.gatewords import finding, title_of
from hub.catalogue.gating import measured_of, result_of
from hub.catalogue.measures import Measure, measure_of
from hub.catalogue.models import Evaluation, ModelVersion
from hub.catalogue.selectors import pooled
from hub.catalogue.tally_models import GateResult
from hub.federations.places import Place, places_in

FEWEST_PLACES = 3  # whose counts may be shown added up
FEW = 5  # counts below are not told to others
TAIL, TOP = 5, 10
MOST_HEAT = 12  # labels of a table that is read cell by cell
LEVELS = 5


@dataclass(frozen=True, slots=True)
class Count:
    """How often; «fewer than 5» where it is not told."""

    value: int
    is_told: bool = True

    @property
    def told(self) -> int | None:
        return self.value if self.is_told else None

    def __str__(self) -> str:
        return f"{self.value:,}" if self.is_told else f"fewer than {FEW}"


@dataclass(frozen=True, slots=True)
class LabelFigures:
    label: str
    examples: Count
    recall: float | None


@dataclass(frozen=True, slots=True)
class Mistake:
    """One label taken for another."""

    true: str
    said: str
    count: Count


@dataclass(frozen=True, slots=True)
class Cell:
    """One cell of a confusion; `level`: how much of its row it holds, from 0 to LEVELS."""

    count: Count
    level: int


@dataclass(frozen=True, slots=True)
class HeatRow:
    label: str
    cells: Sequence[Cell]


@dataclass(frozen=True, slots=True)
class ByLabel:
    """What a confusion shows: of all together, or of one organisation to itself."""

    whose: str
    tail: Sequence[LabelFigures]
    mistakes: Sequence[Mistake]
    labels: Sequence[str]  # of the table; empty where there are too many to read it
    rows: Sequence[HeatRow]


@dataclass(frozen=True, slots=True)
class OrganisationFigures:
    place: Place
    examples: int
    value: float | None  # in the version's measure
    loss: float
    change: float | None  # against the reference, on the same examples
    is_share: bool = True  # whether the change is in shares, else in mean loss
    alone: float | None = None  # what training alone reaches on its test data
    alone_on_all: float | None = None  # and on everybody's

    @property
    def change_words(self) -> str:
        """«+4.0 points», «−0.120»; empty where nobody knows."""
        if self.change is None:
            return ""
        told = f"{100 * self.change:+.1f} points" if self.is_share else f"{self.change:+,.3f}"
        return told.replace("-", "−")


@dataclass(frozen=True, slots=True)
class GateLine:
    """A gate on screen. `is_close`: its bound lies within the interval."""

    title: str
    verdict: str
    finding: str
    is_close: bool


class Assessment:
    """Each part is read when it is first asked for."""

    def __init__(self, version: ModelVersion, user: User) -> None:
        """`version` comes from `with_origin`."""
        self.version = version
        self.user = user

    @cached_property
    def measure(self) -> Measure:
        return measure_of(self.version.plan)

    @cached_property
    def places(self) -> Mapping[UUID, Place]:
        return places_in(self.version.federation_id, self.user)

    @cached_property
    def _labels(self) -> Sequence[str]:
        labels: Sequence[str] = self.version.plan["task"].get("labels", ())
        return labels

    @cached_property
    def evaluations(self) -> Sequence[Evaluation]:
        return measured_of(self.version)

    @cached_property
    def results(self) -> Mapping[UUID, EvaluationResult]:
        return {one.participation_id: result_of(one) for one in self.evaluations}

    @cached_property
    def whole(self) -> EvaluationResult | None:
        """All test data together; None while nobody has measured it."""
        return pool(self.results.values()) if self.results else None

    # ------------------------------------------------------------------ together

    @property
    def value(self) -> float | None:
        return self.measure.of(pooled(self.evaluations)) if self.evaluations else None

    @property
    def accuracy(self) -> float | None:
        return accuracy(self.whole) if self.whole else None

    @property
    def loss(self) -> float | None:
        return mean_loss(self.whole) if self.whole else None

    @property
    def macro_f1(self) -> float | None:
        return macro_f1(self.whole.confusion) if self.whole and self.whole.confusion else None

    @property
    def area_under_curve(self) -> float | None:
        return area_under_curve(self.whole.scores) if self.whole and self.whole.scores else None

    @cached_property
    def asked(self) -> Sequence[UUID]:
        made_by: Any = getattr(self.version, "round", None)  # a row of a higher app
        return made_by.run.evaluators if made_by else ()

    @property
    def missing(self) -> Sequence[Place]:
        """Who was asked and has not measured it."""
        without = set(self.asked) - set(self.results)
        return [place for place in self.places.values() if place.id in without]

    # ------------------------------------------------------------ by organisation

    @cached_property
    def organisations(self) -> Sequence[OrganisationFigures]:
        """In the order in which they came."""
        known = pooled(self.evaluations).by_participation if self.evaluations else {}
        return [
            OrganisationFigures(
                place=place,
                examples=known[place.id].examples,
                value=self.measure.of(known[place.id]),
                loss=known[place.id].loss,
                change=_change(self.results[place.id]),
                is_share=self.results[place.id].correct is not None,
                alone=self._alone.get(place.id, (None, None))[0],
                alone_on_all=self._alone.get(place.id, (None, None))[1],
            )
            for place in self.places.values()
            if place.id in known
        ]

    @property
    def worst(self) -> OrganisationFigures | None:
        sign = 1 if self.measure.is_better_higher else -1
        known = [one for one in self.organisations if one.value is not None]
        return min(known, key=lambda one: sign * (one.value or 0.0), default=None)

    @property
    def dispersion(self) -> Dispersion | None:
        return dispersion([one.value for one in self.organisations if one.value is not None])

    @property
    def width_words(self) -> str:
        """From the worst to the best: «12.0 points», «0.310»."""
        return self._distance(self.dispersion.width) if self.dispersion else ""

    @property
    def deviation_words(self) -> str:
        return self._distance(self.dispersion.deviation) if self.dispersion else ""

    def _distance(self, value: float) -> str:
        is_share = self.measure.format == "percent"
        return f"{100 * value:.1f} points" if is_share else f"{value:,.3f}"

    @cached_property
    def reference(self) -> str:
        """What changes are against."""
        tallies = [one.tally for one in self.evaluations if hasattr(one, "tally")]
        known = [one for one in tallies if one.against_id]
        return str(known[0].against) if known else "the start of the run"

    # ------------------------------------------------------------------ by label

    @cached_property
    def by_label(self) -> Sequence[ByLabel]:
        """All together where enough have counted, then the reader's own organisations."""
        found = []
        if self.whole and self.whole.confusion and self.is_shown_together:
            found.append(self._seen("All organisations together", self.whole, is_own=False))
        for place in self.places.values():
            result = self.results.get(place.id)
            if place.is_own and result and result.confusion:
                found.append(self._seen(f"{place.name} by itself", result, is_own=True))
        return found

    @property
    def is_shown_together(self) -> bool:
        return len(self.results) >= FEWEST_PLACES

    def _seen(self, whose: str, result: EvaluationResult, *, is_own: bool) -> ByLabel:
        cells = result.confusion or ()
        labels = self._labels if len(self._labels) <= MOST_HEAT else ()
        return ByLabel(
            whose=whose,
            tail=[self._of_label(one, is_own=is_own) for one in tail(cells, TAIL)],
            mistakes=[
                Mistake(self._labels[true], self._labels[said], _count(count, is_own=is_own))
                for true, said, count in top_confusions(cells, TOP)
            ],
            labels=labels,
            rows=_heat({cell[:2]: cell[2] for cell in cells}, labels, is_own=is_own),
        )

    def _of_label(self, one: OfLabel, *, is_own: bool) -> LabelFigures:
        examples = _count(one.examples, is_own=is_own)
        return LabelFigures(self._labels[one.label], examples, one.recall)

    # ---------------------------------------------------------------- what is asked

    @cached_property
    def gates(self) -> Sequence[GateResult]:
        return gates_of(self.version)

    @property
    def gate_lines(self) -> Sequence[GateLine]:
        return lines_of(self.gates)

    # ------------------------------------------------------------------ alone

    @cached_property
    def comparisons(self) -> Sequence[Any]:
        """The runs in which the organisations trained alone; rows of a higher app."""
        made_by: Any = getattr(self.version, "round", None)
        if made_by is None or self.version.is_baseline:
            return ()
        return list(made_by.run.comparisons.exclude(state__in=("failed", "cancelled")))

    @property
    def is_waiting_for_alone(self) -> bool:
        return any(one.state != "completed" for one in self.comparisons)

    @property
    def may_ask_alone(self) -> bool:
        """Whether somebody could have them train alone: their run is complete, they are not."""
        made_by: Any = getattr(self.version, "round", None)
        if made_by is None or self.version.is_baseline or self.comparisons:
            return False
        return bool(made_by.run.state == "completed")

    @cached_property
    def _alone(self) -> Mapping[UUID, tuple[float | None, float | None]]:
        """By trainer: what it reaches alone on its own test data, and on everybody's."""
        trainer = {one.pk: one.trainers[0] for one in self.comparisons if one.trainers}
        by_run: dict[UUID, list[Evaluation]] = {pk: [] for pk in trainer}
        for one in Evaluation.objects.filter(run_id__in=trainer, round_number__gt=0):
            by_run[one.run_id].append(one)
        found = {trainer[pk]: pooled(each) for pk, each in by_run.items() if each}
        return {
            place: (self.measure.of(each.by_participation.get(place)), self.measure.of(each))
            for place, each in found.items()
        }


def lines_of(gates: Iterable[GateResult]) -> list[GateLine]:
    return [
        GateLine(
            title=title_of(one.gate),
            verdict=one.verdict,
            finding=finding(one),
            is_close=one.figures.get("value") is not None and not one.figures["is_sure"],
        )
        for one in gates
    ]


def gates_of(version: ModelVersion) -> Sequence[GateResult]:
    """What each gate says, in the plan's order; with what it was compared with."""
    return list(version.gate_results.select_related("against"))


def _change(result: EvaluationResult) -> float | None:
    """Against the reference: in accuracy, or in mean loss with its sign turned."""
    pairs = result.paired
    if pairs is None:
        return None
    if pairs.gained is not None and pairs.lost is not None:
        return (pairs.gained - pairs.lost) / result.examples
    return -pairs.loss_sum / (result.tokens or result.examples)


def _count(value: int, *, is_own: bool) -> Count:
    return Count(value, is_told=is_own or value == 0 or value >= FEW)


def _heat(
    cells: Mapping[tuple[int, ...], int], labels: Sequence[str], *, is_own: bool
) -> Sequence[HeatRow]:
    """The whole table, as long as people can read it."""
    places = range(len(labels))
    return [
        HeatRow(
            labels[true],
            [_cell(cells, true, said, len(labels), is_own=is_own) for said in places],
        )
        for true in places
    ]


def _cell(
    cells: Mapping[tuple[int, ...], int], true: int, said: int, labels: int, *, is_own: bool
) -> Cell:
    count = _count(cells.get((true, said), 0), is_own=is_own)
    row = sum(cells.get((true, other), 0) for other in range(labels))
    is_blank = not count.value or not count.is_told
    return Cell(count, 0 if is_blank else max(1, round(LEVELS * count.value / row)))
