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

from django.utils.translation import gettext as _

from federation.figures import (
    Dispersion,
    accuracy,
    area_under_curve,
    dispersion,
    macro_f1,
    mean_loss,
)
from federation.gates.base import terms_of
from federation.intervals import Interval, paired_interval
from federation.protocol import EvaluationResult
from federation.tallies import pool
from hub.accounts.models import User
from hub.catalogue.evaluation.confusions import FEWEST_PLACES, ByLabel, seen
from hub.catalogue.evaluation.gatewords import finding, title_of
from hub.catalogue.evaluation.gating import measured_of, result_of
from hub.catalogue.evaluation.measures import Measure, measure_of
from hub.catalogue.models import Evaluation, GateResult, ModelVersion
from hub.catalogue.selectors import pooled
from hub.federations.places import Place, places_in


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
        return "" if self.change is None else change_in_words(self.change, is_share=self.is_share)


@dataclass(frozen=True, slots=True)
class GateLine:
    """A gate on screen. `is_close`: its bound lies within the interval."""

    title: str
    verdict: str
    finding: str
    is_close: bool
    blocks: bool


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
    def gain(self) -> Interval | None:
        """How much better than the reference over all test data; None where not all compared."""
        if self.whole is None or self.whole.paired is None:
            return None
        seed = int(self.version.adapter_id[:8], 16)
        return paired_interval(self.whole.paired, terms_of(self.whole), seed=seed)

    @property
    def gain_words(self) -> Sequence[str]:
        """The figure, and between what it lies, in `unit`: «+4.0», «+1.2», «+6.8»."""
        gain = self.gain
        known = (gain.value, gain.lower, gain.upper) if gain else ()
        return [_change_figure(one, is_share=bool(self.unit)) for one in known]

    @property
    def unit(self) -> str:
        """Of changes and distances: points between shares, else none."""
        return _("points") if self.accuracy is not None else ""

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
        """From the worst to the best, in `unit`: «12.0», «0.310»."""
        return self._distance(self.dispersion.width) if self.dispersion else ""

    @property
    def deviation_words(self) -> str:
        return self._distance(self.dispersion.deviation) if self.dispersion else ""

    def _distance(self, value: float) -> str:
        return f"{100 * value:.1f}" if self.unit else f"{value:,.3f}"

    @cached_property
    def reference(self) -> str:
        """What changes are against."""
        tallies = [one.tally for one in self.evaluations if hasattr(one, "tally")]
        known = [one for one in tallies if one.against_id]
        return str(known[0].against) if known else _("the start of the run")

    # ------------------------------------------------------------------ by label

    @cached_property
    def by_label(self) -> Sequence[ByLabel]:
        """All together where enough have counted, then the reader's own organisations."""
        found = []
        if self.whole and self.whole.confusion and self.is_shown_together:
            found.append(
                seen(_("All organisations together"), self.whole, self._labels, is_own=False)
            )
        for place in self.places.values():
            result = self.results.get(place.id)
            if place.is_own and result and result.confusion:
                whose = _("%(organisation)s by itself") % {"organisation": place.name}
                found.append(seen(whose, result, self._labels, is_own=True))
        return found

    @property
    def is_shown_together(self) -> bool:
        return len(self.results) >= FEWEST_PLACES

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


def change_in_words(change: float, *, is_share: bool) -> str:
    told = _change_figure(change, is_share=is_share)
    return _("%(change)s points") % {"change": told} if is_share else told


def _change_figure(change: float, *, is_share: bool) -> str:
    told = f"{100 * change:+.1f}" if is_share else f"{change:+,.3f}"
    return told.replace("-", "−")


def lines_of(gates: Iterable[GateResult]) -> list[GateLine]:
    return [
        GateLine(
            title=title_of(one.gate),
            verdict=one.verdict,
            finding=finding(one),
            is_close=one.figures.get("value") is not None and not one.figures["is_sure"],
            blocks=one.blocks,
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
