"""Markdown in which nothing that people typed is markup."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MARKS = re.compile(r"([\\`*_{}\[\]<>#|!~&])")
OPENINGS = re.compile(r"^([-+=]|\d+(?=[.)]))")  # of a list, a rule or a heading


def plain(text: str) -> str:
    """A name as Markdown that stays what it is: no markup, no HTML, one line."""
    return MARKS.sub(r"\\\1", " ".join(text.split()))


def prose(text: str) -> str:
    """Several lines of somebody's, each a paragraph."""
    return "\n\n".join(_line(line) for line in text.splitlines() if line.strip())


def quoted(text: str) -> str:
    """The same as a quotation."""
    return "\n>\n".join(f"> {_line(line)}" for line in text.splitlines() if line.strip())


def _line(line: str) -> str:
    escaped = plain(line)
    return OPENINGS.sub(lambda found: _escaped(found[1]), escaped)


def _escaped(opening: str) -> str:
    """A backslash makes a mark a letter; before a digit it would be one itself."""
    return f"{opening}\\" if opening.isdigit() else f"\\{opening}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: int) -> str:
    """A table whose last columns, as many as `numbers`, are figures. Cells are Markdown."""
    sides = ["---"] * (len(head) - numbers) + ["---:"] * numbers
    lines = [head, sides, *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)
