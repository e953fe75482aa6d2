from __future__ import annotations

from dataclasses import replace

import pytest

from agent.home import Home
from agent.measured import KEPT, MOST_ROWS, Measured
from federation.modelling import Evaluated
from federation.protocol import EvaluateSpec, Scores
from federation.tallies import Rows
from tests.agent import tiny

FOUND = Evaluated(
    Rows((0.1, 2.5), (1, 1), (0, 1), (0, 0)), Scores(right=(2,) * 256, wrong=(0,) * 256)
)
PLAIN = Evaluated(Rows((0.25,), (3,)))


@pytest.fixture
def known(home: Home) -> Measured:
    plan = tiny.plan()
    base = {"repo": tiny.BASE_REPO, "revision": tiny.REVISION}
    spec = EvaluateSpec(plan=plan, plan_digest=plan.digest(), base=base, candidates=())
    return Measured(home, spec, "data")


def never() -> Evaluated:
    raise AssertionError("it is known")


@pytest.mark.parametrize("found", [FOUND, PLAIN])
def test_what_was_measured_is_not_measured_again(known: Measured, found: Evaluated) -> None:
    assert known.once("a", lambda: found) == found
    assert known.once("a", never) == found


def test_other_data_another_adapter_or_plan_are_measured(known: Measured) -> None:
    known.once("a", lambda: FOUND)
    other = known.spec.model_copy(update={"plan_digest": "0" * 64})
    for one, adapter in ((known, "b"), (replace(known, data="new"), "a")):
        assert one.once(adapter, lambda: PLAIN) == PLAIN
    assert replace(known, spec=other).once("a", lambda: PLAIN) == PLAIN


def test_only_the_last_used_are_kept_and_nobody_else_reads_them(known: Measured) -> None:
    for number in range(KEPT + 3):
        known.once(str(number), lambda: FOUND)
    files = list((known.home.cache / "measured").iterdir())
    assert len(files) == KEPT
    assert {file.stat().st_mode & 0o077 for file in files} == {0}


def test_what_is_too_large_is_not_kept(known: Measured) -> None:
    many = Evaluated(Rows((0.0,) * (MOST_ROWS + 1), (1,) * (MOST_ROWS + 1)))
    known.once("a", lambda: many)
    assert not list((known.home.cache / "measured").iterdir())
