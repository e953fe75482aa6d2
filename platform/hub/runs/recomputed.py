"""What the page that compares aggregators shows: one line for each method that was computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import inf
from typing import Any

from django.utils.translation import gettext as _

from hub.catalogue.evaluation.measures import Measure
from hub.catalogue.evaluation.probed import Achieved, achieved
from hub.runs.methods import Variation, in_words
from hub.runs.models import Recomputation, RecomputationState, Round
from hub.runs.selectors import methods_for


@dataclass(frozen=True, slots=True)
class Line:
    """What a method came to, or that it has not yet."""

    row: Recomputation
    published: str  # the digest that the round published

    @property
    def name(self) -> str:
        return in_words(self.row.key)

    @property
    def is_done(self) -> bool:
        return self.row.state == RecomputationState.COMPUTED

    @property
    def is_published(self) -> bool:
        return bool(self.row.digest) and self.row.digest == self.published

    @property
    def report(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.row.report
        return found

    @property
    def on_probe(self) -> Achieved | None:
        """What it achieves on the run's probe set, where that was measured."""
        found = self.report.get("probe", {})
        return achieved(found) if "examples" in found else None

    @property
    def ranks(self) -> str:
        """«4», or «2 to 4»."""
        found = sorted(self.report.get("ranks", {}).values())
        if not found:
            return ""
        lowest, highest = found[0], found[-1]
        return (
            f"{highest}"
            if lowest == highest
            else _("%(low)s to %(high)s") % {"low": lowest, "high": highest}
        )


class MethodsBoard:
    def __init__(self, round_: Round) -> None:
        """`round_` comes with `run.federation` and `version`."""
        self.round = round_

    @cached_property
    def methods(self) -> Mapping[str, Variation]:
        return methods_for(self.round)

    @cached_property
    def lines(self) -> Sequence[Line]:
        """The round's own method first, then the smallest error."""
        published = self.round.version.adapter_id if self.round.version else ""
        rows = self.round.recomputations.all()
        return sorted((Line(row, published) for row in rows), key=_order)

    @property
    def choices(self) -> Sequence[tuple[str, str]]:
        """What has not been asked for yet: key and words."""
        asked = {line.row.key for line in self.lines}
        return [(key, in_words(key)) for key in self.methods if key not in asked]

    @property
    def is_waiting(self) -> bool:
        return any(line.row.state == RecomputationState.QUEUED for line in self.lines)

    @property
    def most_error(self) -> float:
        return self._most("relative_error")

    @property
    def measure(self) -> Measure | None:
        """By which the results are judged on the probe set, if any was measured."""
        found = (line.on_probe for line in self.lines)
        return next((one.measure for one in found if one), None)

    @property
    def most_seconds(self) -> float:
        return self._most("seconds")

    @property
    def most_bytes(self) -> float:
        return max((line.row.size_bytes or 0 for line in self.lines), default=0)

    def _most(self, name: str) -> float:
        return max((line.report[name] or 0.0 for line in self.lines if line.is_done), default=0.0)


def _order(line: Line) -> tuple[bool, float, str]:
    error = line.report.get("relative_error")
    return not line.row.is_own, inf if error is None else error, line.row.key
