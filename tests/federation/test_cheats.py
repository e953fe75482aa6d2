"""What cheats gain over honest play; `-s` shows the table of docs/contributions.md.

The share of the credits that the same organisation gets, by exact Shapley values on everybody's
probes and by the cases that its updates gave reason to, over what it gets honestly.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from statistics import fmean

import pytest

from tests.federation.attacks import DATA
from tests.federation.cheats import (
    CHEATS,
    LIAR,
    ORGANISATIONS,
    SIBLING,
    Campaign,
    campaign,
    honest,
    share,
)

SEEDS = (0,)
MOST = 0.05  # gain over honest play
TWICE = "two organisations with one data set"
# How each is noticed: the kinds of its cases.
NOTICED: Mapping[str, set[str]] = {
    "no change": {"zero_update"},
    "noise": {"noise"},
    "its own first update again": {"stale"},
    "the last result again": {"stale", "zero_update"},
    "a near copy": {"near_copy"},
    TWICE: {"same_data"},
}
GUIDE = Path(__file__).parents[2] / "docs" / "contributions.md"

pytestmark = pytest.mark.skipif(
    not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
)


@cache
def played(name: str, seed: int) -> Campaign:
    return campaign(CHEATS.get(name, honest), seed=seed, twice=name == TWICE)


@cache
def gains(name: str) -> tuple[float, float]:
    """Over honest play: by the values alone, and with what the cases do to them."""
    who = (LIAR, SIBLING) if name == TWICE else (LIAR,)
    each = []
    for seed in SEEDS:
        fair, found = played("nobody", seed), played(name, seed)
        alone = share(fair.credited(), LIAR)
        each.append([share(v, *who) / alone - 1 for v in (found.values(), found.credited())])
    return fmean(one[0] for one in each), fmean(one[1] for one in each)


def kinds(name: str) -> set[str]:
    """Of the cases about whoever plays false, in every campaign."""
    return set.intersection(
        *({k for k, who in played(name, seed).cases() if LIAR in who} for seed in SEEDS)
    )


def others_named(name: str) -> set[int]:
    """Who is in a case, and neither plays false nor was copied."""
    honest_ones = set(range(1, ORGANISATIONS)) - ({1} if name == "a near copy" else set())
    cases = [case for seed in SEEDS for case in played(name, seed).cases()]
    return honest_ones & {place for _, who in cases for place in who}


def test_cheats_gain_nothing_and_the_guide_has_the_figures() -> None:
    """One test, since all campaigns are in one process then."""
    names = [*CHEATS, TWICE]
    print("\n" + "\n".join(map(_row, names)))
    assert [played("nobody", seed).cases() for seed in SEEDS] == [set() for _ in SEEDS]
    assert {name: others_named(name) for name in names} == {name: set() for name in names}
    assert {name: kinds(name) for name in NOTICED} == NOTICED
    assert {name for name in names if gains(name)[1] >= MOST} == set()
    written = dict(re.findall(r"^\| ([a-z][^|]*?) \| (.*) \|$", GUIDE.read_text(), re.MULTILINE))
    for name in names:
        said = [float(text.replace("−", "-")) for text in re.findall(r"([+−]\d+) %", written[name])]
        assert said == pytest.approx([100 * gain for gain in gains(name)], abs=3), name


def _row(name: str) -> str:
    found = ", ".join(f"`{kind}`" for kind in sorted(kinds(name))) or "none"
    by_value, credited = (f"{100 * gain:+.0f} %".replace("-", "−") for gain in gains(name))
    return f"| {name} | {by_value} | {found} | {credited} |"
