"""Nine attacks by two of eleven on a small real task; `-s` shows the table of docs/aggregation.md."""

from __future__ import annotations

from collections.abc import Mapping
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


@pytest.fixture(scope="module")
def reached(tmp_path_factory: pytest.TempPathFactory):
    """The accuracy of a method under an attack; computed when it is first asked for."""

    @cache
    def of(method: str, attack: str) -> float:
        folder: Path = tmp_path_factory.mktemp("campaign")
        return campaign(folder, EVERY[attack], **METHODS[method])  # type: ignore[arg-type]

    return of


def test_every_rule_is_attacked():
    assert set(rules) == {name for name in METHODS if name in rules}
    assert set(combinations) - {"mean", "near_median"} <= set(METHODS)


@pytest.mark.parametrize("method", sorted(GUARDED))
def test_within_the_breakdown_point_a_guard_keeps_its_accuracy(reached, method):
    parts = GUARDED[method].values()
    assert all(part.survives(ORGANISATIONS) >= LIARS for part in parts)  # type: ignore[attr-defined]
    clean = reached(method, NOBODY)
    kept = {attack: reached(method, attack) / clean for attack in ATTACKS}
    assert {attack: share for attack, share in kept.items() if share < KEPT} == {}


def test_plain_shares_are_ruined_by_a_flipped_sign(reached):
    assert reached("shares", "sign flip × 10") < 0.75 * reached("shares", NOBODY)


def test_other_factors_of_the_same_model_harm_nobody_but_averaged_factors(reached):
    for method in set(METHODS) - {"fedavg"}:
        assert reached(method, "gauge rescale") == pytest.approx(reached(method, NOBODY), abs=2e-3)
    assert reached("fedavg", "gauge rescale") < KEPT * reached("fedavg", NOBODY)


def test_the_table(reached):
    print(f"\n| attack | {' | '.join(f'`{name}`' for name in METHODS)} |")
    print(f"| --- |{' --- |' * len(METHODS)}")
    for attack in EVERY:
        shown = [f"{reached(m, attack):.3f} ({_kept(reached, m, attack)})" for m in METHODS]
        print(f"| {attack} | {' | '.join(shown)} |")


def _kept(reached, method: str, attack: str) -> str:
    return f"{reached(method, attack) / reached(method, NOBODY):.0%}"
