"""Nine attacks by two of eleven on a small real task; `-s` shows the table of docs/aggregation.md.

A hundred campaigns of half a second: the processes of a test run share what they have found.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

import pytest

from federation.combinations import combinations
from federation.rules import rules
from tests.federation.attacks import ATTACKS, DATA, LIARS, ORGANISATIONS, campaign, none

KEPT = 0.95  # of what the same method reaches when nobody lies
NOBODY = "nobody lies"
EVERY = {NOBODY: none, **ATTACKS}

pytestmark = pytest.mark.skipif(
    not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
)

PLAIN: Mapping[str, Mapping[str, object]] = {"fedavg": {"strategy": "fedavg"}, "shares": {}}
GUARDED: Mapping[str, Mapping[str, object]] = {
    "krum": {"rule": rules["krum"](liars=LIARS)},
    "multi_krum": {"rule": rules["multi_krum"](liars=LIARS)},
    "geometric_median": {"rule": rules["geometric_median"](liars=LIARS)},
    "flame": {"rule": rules["flame"](liars=LIARS)},
    "fltrust": {"rule": rules["fltrust"](liars=LIARS)},
    "median": {"combination": combinations["median"](liars=LIARS)},
    "trimmed_mean": {"combination": combinations["trimmed_mean"](liars=LIARS)},
    "bulyan": {
        "rule": rules["bulyan"](liars=LIARS),
        "combination": combinations["near_median"](liars=LIARS),
    },
}
METHODS = {**PLAIN, **GUARDED}
GUIDE = (Path(__file__).parents[2] / "docs" / "aggregation.md").read_text()


Reached = Callable[[str, str], float]


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Reached:
    """The accuracy of a method under an attack; computed when it is first asked for."""
    of_this_process = tmp_path_factory.getbasetemp()
    shared = of_this_process if worker_id == "master" else of_this_process.parent

    @cache
    def of(method: str, attack: str) -> float:
        known = shared / f"{method} under {attack}"
        if not known.exists():
            folder = tmp_path_factory.mktemp("campaign")
            written = folder / "accuracy"
            written.write_text(repr(campaign(folder, EVERY[attack], **METHODS[method])))  # type: ignore[arg-type]
            written.replace(known)
        return float(known.read_text())

    return of


def test_every_rule_is_attacked() -> None:
    assert set(rules) == {name for name in METHODS if name in rules}
    assert set(combinations) - {"mean", "near_median"} <= set(METHODS)


@pytest.mark.parametrize("method", sorted(GUARDED))
def test_within_the_breakdown_point_a_guard_keeps_its_accuracy(
    reached: Reached, method: str
) -> None:
    parts = GUARDED[method].values()
    assert all(part.survives(ORGANISATIONS) >= LIARS for part in parts)  # type: ignore[attr-defined]
    clean = reached(method, NOBODY)
    kept = {attack: reached(method, attack) / clean for attack in ATTACKS}
    assert {attack: share for attack, share in kept.items() if share < KEPT} == {}


def test_plain_shares_are_ruined_by_a_flipped_sign(reached: Reached) -> None:
    assert reached("shares", "sign flip × 10") < 0.75 * reached("shares", NOBODY)


def test_other_factors_of_the_same_model_harm_nobody_but_averaged_factors(reached: Reached) -> None:
    for method in set(METHODS) - {"fedavg"}:
        assert reached(method, "gauge rescale") == pytest.approx(reached(method, NOBODY), abs=2e-3)
    assert reached("fedavg", "gauge rescale") < KEPT * reached("fedavg", NOBODY)


@pytest.mark.parametrize("attack", EVERY)
def test_the_guide_says_what_is_reached(reached: Reached, attack: str) -> None:
    cells = [f"{reached(m, attack):.3f} ({_kept(reached, m, attack)})" for m in METHODS]
    print(f"\n| {attack} | {' | '.join(cells)} |")
    said = re.search(rf"^\| {re.escape(attack)} \|(.*)\|$", GUIDE, re.MULTILINE)
    assert said
    figures = [float(cell.split()[0]) for cell in said[1].split("|")]
    assert figures == pytest.approx([reached(m, attack) for m in METHODS], abs=0.02)


def _kept(reached: Reached, method: str, attack: str) -> str:
    return f"{reached(method, attack) / reached(method, NOBODY):.0%}"
