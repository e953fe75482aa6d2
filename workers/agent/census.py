"""What a data set holds, counted, for people at the site and for `doctor`; nothing of it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Final

from agent.columns import image_of, talk_of
from agent.datasets import DataSet, Part, Row, rows_of
from federation.plan import Plan
from federation.plan_tasks import Column, Labelled

# The columns that examples are made of; where nobody says which, the first that is there.
MAINS: Final[tuple[Column, ...]] = ("messages", "image", "text")

UNREADABLE: Final[dict[str, str]] = {
    "messages": "are no lists of messages with role and content",
    "image": "name no file that is there",
}


@dataclass(slots=True)
class Census:
    """Counts over one part of a data set; `main`: what its examples are made of."""

    main: Column = "text"
    rows: int = 0
    empty: int = 0  # rows without an example: they are left out
    unreadable: int = 0  # what is no conversation, or no file: training refuses them
    prompted: int = 0
    unlabelled: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    columns: dict[str, None] = field(default_factory=dict)  # in the order of their appearance

    @property
    def usable(self) -> int:
        return self.rows - self.empty - self.unreadable

    def unknown_to(self, plan: Plan) -> int:
        """How many examples have a label that a plan does not list."""
        if not isinstance(plan.task, Labelled):
            return 0
        listed = set(plan.task.labels)
        return sum(count for label, count in self.labels.items() if label not in listed)


def census(data: DataSet, part: Part, main: Column | None = None) -> Census:
    """Count all rows of a part, one at a time; `main`: see MAINS. Raises DataRefused."""
    return counted(rows_of(data.file(part)), data, main)


def counted(rows: Iterable[Row], data: DataSet, main: Column | None = None) -> Census:
    first = next(remaining := iter(rows), None)
    if first is None:
        return Census(main or "text")
    found = Census(main or _main_of(first, data))
    for row in chain([first], remaining):
        _count(row, data, found)
    return found


def _main_of(row: Row, data: DataSet) -> Column:
    return next((column for column in MAINS if getattr(data, column) in row), "text")


def _count(row: Row, data: DataSet, found: Census) -> None:
    found.rows += 1
    found.columns.update(dict.fromkeys(row))
    value = row.get(getattr(data, found.main))
    if not str(value or "").strip():
        found.empty += 1
        return
    if _is_unreadable(value, data, found.main):
        found.unreadable += 1
        return
    found.prompted += row.get(data.prompt) is not None
    label = row.get(data.label)
    if label is None:
        found.unlabelled += 1
    else:
        found.labels[str(label)] += 1


def _is_unreadable(value: object, data: DataSet, main: Column) -> bool:
    if main == "messages":
        return not talk_of(value)
    return main == "image" and not image_of(value, data).is_file()


def sample(data: DataSet, part: Part, count: int) -> tuple[list[Row], Census]:
    """The first rows of a part, and the counts of all. Raises DataRefused."""
    rows: Iterator[Row] = iter(rows_of(data.file(part)))
    first = list(islice(rows, count))
    return first, counted(chain(first, rows), data)
