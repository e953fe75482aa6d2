"""The table of docs/contributions.md: five kinds of organisations; `-s` shows it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.federation.attacks import DATA
from tests.federation.five import (
    COPY,
    COUNTS,
    KINDS,
    LARGE,
    SHUFFLED,
    SMALL,
    ZERO,
    campaign,
    contributions,
)

GUIDE = Path(__file__).parents[2] / "docs" / "contributions.md"

pytestmark = pytest.mark.skipif(
    not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
)


def test_each_kind_gets_what_it_is_worth_and_the_guide_has_the_figures() -> None:
    found = contributions()
    value = {place: found[str(place)].value for place in range(len(KINDS))}
    rows = [_row(place) for place in range(len(KINDS))]
    print("\n" + "\n".join(rows))
    assert (value[ZERO], found[str(ZERO)].lower, found[str(ZERO)].upper) == (0.0, 0.0, 0.0)
    each = {place: value[place] / COUNTS[place] for place in (LARGE, SHUFFLED)}
    assert each[SHUFFLED] < each[LARGE] / 2
    assert found[str(LARGE)].lower > found[str(SHUFFLED)].upper > value[SMALL] > 0
    assert campaign().cases() == {("zero_update", (ZERO,)), ("near_copy", (LARGE, COPY))}
    credited = campaign().credited()
    assert credited[LARGE] == credited[COPY] <= value[LARGE]
    written = GUIDE.read_text()
    for row in rows:
        name, *figures = [cell.strip() for cell in row.strip("|").split("|")]
        (line,) = re.findall(rf"^\| {re.escape(name)} \| [\d,]+ \|.*$", written, re.MULTILINE)
        assert _figures(line) == pytest.approx(_figures(row), abs=0.02), figures


def _row(place: int) -> str:
    one = contributions()[str(place)]
    signs = [kind for kind, who in campaign().cases() if place in who]
    interval = f"{one.lower:+.3f} to {one.upper:+.3f}"
    flags = ", ".join(f"`{kind}`" for kind in signs) or "none"
    cells = (KINDS[place], f"{COUNTS[place]:,}", f"{one.value:+.3f}", interval, flags)
    return f"| {' | '.join(cells)} | {campaign().credited()[place]:.3f} |".replace("-", "−")


def _figures(row: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in re.findall(r"[+−]?\d+\.\d+", row)]
