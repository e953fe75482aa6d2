"""What a confusion shows: the weakest labels, the mistakes, and the table where it can be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _

from federation.figures import tail, top_confusions
from federation.protocol import EvaluationResult

FEWEST_PLACES = 3  # organisations whose counts may be shown added up
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
        return f"{self.value:,}" if self.is_told else _("fewer than %(few)s") % {"few": FEW}


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


def seen(whose: str, result: EvaluationResult, names: Sequence[str], *, is_own: bool) -> ByLabel:
    """`names`: of all labels of the plan. What is not one's own is told without small counts."""
    cells = result.confusion or ()
    readable = names if len(names) <= MOST_HEAT else ()
    return ByLabel(
        whose=whose,
        tail=[
            LabelFigures(names[one.label], _count(one.examples, is_own=is_own), one.recall)
            for one in tail(cells, TAIL)
        ],
        mistakes=[
            Mistake(names[true], names[said], _count(count, is_own=is_own))
            for true, said, count in top_confusions(cells, TOP)
        ],
        labels=readable,
        rows=_heat({cell[:2]: cell[2] for cell in cells}, readable, is_own=is_own),
    )


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
