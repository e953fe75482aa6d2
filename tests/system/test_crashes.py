"""A process is killed at each named point, once, as by a power cut: nobody can tell afterwards.

`make test` kills several in one run, `make crash` each of them by itself, again and again. Each run is compared with the same run undisturbed.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import partial

import pytest

from tests.system.plays import Plays
from tests.system.points import PASSAGES, Disturbance, chosen_disturbances, sample
from tests.system.processes import wait_until
from tests.system.stack import ROOT, Stack

pytestmark = [pytest.mark.system, pytest.mark.crash]


@pytest.mark.parametrize("disturbance", chosen_disturbances(), ids=str)
def test_killed_processes_change_nothing(
    stack: Stack, plays: Plays, disturbance: Disturbance
) -> None:
    assert plays.origin
    kind, seed, kills = disturbance.kind, disturbance.seed, disturbance.kills
    lives = {kill.process: stack.supervisor.exits(kill.process) for kill in kills}
    try:
        for kill in kills:
            stack.supervisor.arm(kill.process, kill.failpoint)
        digest = plays.play(kind, seed)
        for kill in kills:
            wait_until(partial(stack.supervisor.has_fallen, kill.process), what=f"no death: {kill}")
            wait_until(partial(has_died_once, stack, kill.process, lives[kill.process]))
    finally:
        for kill in kills:
            stack.supervisor.disarm(kill.process)
    assert digest == plays.undisturbed(kind, seed)


def has_died_once(stack: Stack, process: str, lives: int) -> bool:
    return stack.supervisor.exits(process) == lives + 1


def test_every_failpoint_of_the_code_is_among_them() -> None:
    call = re.compile(r'failpoint\("(W\d\d)", "(?:before|after)"\)')
    code = [p.read_text() for part in ("platform", "workers") for p in (ROOT / part).rglob("*.py")]
    named = {point for text in code for point in call.findall(text)}
    assert named == {point for points in PASSAGES.values() for point in points}


def test_the_sample_kills_each_process_at_each_of_its_points_once() -> None:
    killed = Counter((kill.process, kill.point) for one in sample() for kill in one.kills)
    assert killed == Counter((name, point) for name in PASSAGES for point in PASSAGES[name])
