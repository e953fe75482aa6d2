"""What a data set holds, counted, for people at the site and for `doctor`; nothing of it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice

from agent.datasets import DataSet, Part, Row, rows_of
from federation.plan import Plan, SequenceClassification


@dataclass(slots=True)
class Census:
    """Counts over one part of a data set."""

    rows: int = 0
    empty: int = 0  # rows without a text: they are left out
    prompted: int = 0
    unlabelled: int = 0
    labels: Counter[str] = field(default_factory=Counter)
    columns: dict[str, None] = field(default_factory=dict)  # in the order of their appearance

    @property
    def usable(self) -> int:
        return self.rows - self.empty

    def unknown_to(self, plan: Plan) -> int:
        """How many examples have a label that a plan does not list."""
        if not isinstance(plan.task, SequenceClassification):
            return 0
        listed = set(plan.task.labels)
        return sum(count for label, count in self.labels.items() if label not in listed)


def census(data: DataSet, part: Part) -> Census:
    """Count all rows of a part, one at a time. Raises DataRefused."""
    return counted(rows_of(data.file(part)), data)


def counted(rows: Iterable[Row], data: DataSet) -> Census:
    found = Census()
    for row in rows:
        found.rows += 1
        found.columns.update(dict.fromkeys(row))
        if not str(row.get(data.text) or "").strip():
            found.empty += 1
            continue
        found.prompted += row.get(data.prompt) is not None
        label = row.get(data.label)
        if label is None:
            found.unlabelled += 1
        else:
            found.labels[str(label)] += 1
    return found


def sample(data: DataSet, part: Part, count: int) -> tuple[list[Row], Census]:
    """The first rows of a part, and the counts of all. Raises DataRefused."""
    rows = iter(rows_of(data.file(part)))
    first: list[Mapping[str, object]] = list(islice(rows, count))
    return first, counted(chain(first, rows), data)
