"""What probe sets say, as pages show it: base model, start of the run, version."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from federation.plan import Plan
from hub.catalogue.evaluation.measures import ACCURACY, PERPLEXITY, Measure
from hub.catalogue.evaluation.probes import measured_as
from hub.catalogue.models import ModelVersion, ProbeScore, ProbeScoreState
from hub.catalogue.selectors import Measured

BASE, START = _noop("Base model, untrained adapter"), _noop("Start of the run")
FRESH = _noop("Start of the run: an untrained adapter")


@dataclass(frozen=True, slots=True)
class Achieved:
    """What one adapter makes of a probe set, from the sums."""

    measured: Measured

    @property
    def measure(self) -> Measure:
        return PERPLEXITY if self.measured.accuracy is None else ACCURACY

    @property
    def value(self) -> float | None:
        return self.measure.of(self.measured)

    @property
    def loss(self) -> float:
        return self.measured.loss


def achieved(sums: Mapping[str, Any]) -> Achieved:
    """From examples, correct, tokens and loss_sum; there is at least one example."""
    examples, correct = int(sums["examples"]), sums["correct"]
    units = examples if correct is not None else int(sums["tokens"]) or examples
    accuracy = None if correct is None else int(correct) / examples
    return Achieved(Measured(examples, accuracy, float(sums["loss_sum"]) / units))


@dataclass(frozen=True, slots=True)
class OnProbe:
    """One line about a probe set: whose adapter it is, and how its measurement stands."""

    name: str
    score: ProbeScore

    @property
    def measure(self) -> Measure:
        return ACCURACY if "labels" in self.score.plan["task"] else PERPLEXITY

    @property
    def achieved(self) -> Achieved | None:
        if self.score.state != ProbeScoreState.COMPUTED:
            return None
        names = ("examples", "correct", "tokens", "loss_sum")
        return achieved({name: getattr(self.score, name) for name in names})

    @property
    def waiting(self) -> str:
        """Why there is no figure."""
        if self.score.state == ProbeScoreState.FAILED:
            return _("not measured: %(why)s") % {"why": self.score.failure_detail}
        return "" if self.achieved else _("being measured")


def version_on_probe(version: ModelVersion, *, name: str = "") -> Sequence[OnProbe]:
    """Base model, start of the run and version on the run's probe set; nothing without one.

    One query. Runs belong to a higher app; only the database follows these arrows.
    """
    of_run = Q(probe__runs__rounds__version=version)
    wanted = Q(adapter=version.adapter_id) | Q(adapter=F("probe__runs__start")) | Q(is_base=True)
    found = ProbeScore.objects.filter(of_run, wanted, plan__task=version.plan["task"])
    rows = found.select_related("probe__federation").annotate(run_start=F("probe__runs__start"))
    return _lines(list(rows.distinct()), version, name)


def _lines(rows: Sequence[ProbeScore], version: ModelVersion, name: str) -> Sequence[OnProbe]:
    plan = Plan.model_validate_json(json.dumps(version.plan))
    alike = measured_as(plan)
    own = {row.adapter_id: row for row in rows if row.measured_as == alike}
    start = next((row.run_start for row in rows), None)  # type: ignore[attr-defined]  # annotated
    base = next((row for row in rows if row.is_base), None)
    lines = [
        *([OnProbe(_(BASE), base)] if base and base.adapter_id != start else []),
        *([OnProbe(start_words(own[start]), own[start])] if start in own else []),
        *(
            [OnProbe(name or _("This version"), own[version.adapter_id])]
            if version.adapter_id in own
            else []
        ),
    ]
    return lines if version.adapter_id in own else []


def start_words(score: ProbeScore) -> str:
    """What the start of a run is called, by what it is."""
    return _(FRESH) if score.is_base else _(START)


def scores_of_run(
    *, run_id: UUID, start: str | None, probe_id: UUID | None, plan: Plan, rounds: Sequence[int]
) -> dict[int, ProbeScore]:
    """By round, 0 being the start: what was measured, or waits to be."""
    if probe_id is None or start is None:
        return {}
    of_round = Q(adapter__versions__round__run=run_id, adapter__versions__round__number__in=rounds)
    scores: QuerySet[ProbeScore] = ProbeScore.objects.filter(
        Q(adapter=start) | of_round, probe=probe_id, measured_as=measured_as(plan)
    )
    numbered = scores.select_related("probe__federation").annotate(
        number=F("adapter__versions__round__number"), run=F("adapter__versions__round__run")
    )
    found: dict[int, ProbeScore] = {}
    for score in numbered:
        if score.adapter_id == start:
            found[0] = score
        elif score.run == run_id and score.number in rounds:
            found[score.number] = score
    return found
