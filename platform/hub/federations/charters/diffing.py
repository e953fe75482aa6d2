"""What became of a text, line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal

KEPT_AROUND = 2  # lines that stay, shown beside a change


@dataclass(frozen=True, slots=True)
class Line:
    """One line of two texts laid over each other; `left_out`: so many that stay are not shown."""

    kind: Literal["kept", "added", "removed", "left_out"]
    text: str


def difference(before: str, after: str) -> Sequence[Line]:
    """Empty: the texts are the same."""
    if before == after:
        return []
    old, new = before.splitlines(), after.splitlines()
    lines: list[Line] = []
    for group in SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(KEPT_AROUND):
        first = group[0][1]
        if first:
            lines.append(Line("left_out", ""))
        for tag, a, b, c, d in group:
            lines.extend(_lines(tag, old[a:b], new[c:d]))
    return lines


def _lines(tag: str, old: Sequence[str], new: Sequence[str]) -> Iterator[Line]:
    if tag == "equal":
        yield from (Line("kept", line) for line in old)
        return
    yield from (Line("removed", line) for line in old)
    yield from (Line("added", line) for line in new)
