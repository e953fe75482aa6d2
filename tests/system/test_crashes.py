"""A process is killed at each named point, once, as by a power cut: nobody can tell afterwards.

`make test` takes a sample, `make crash` all. Each run is compared with the same run undisturbed.
"""

from __future__ import annotations

import re

import pytest

from tests.system.plays import Plays
from tests.system.points import PASSAGES, Kill, chosen_kills
from tests.system.processes import wait_until
from tests.system.stack import ROOT, Stack

pytestmark = [pytest.mark.system, pytest.mark.crash]


@pytest.mark.parametrize("kill", chosen_kills(), ids=str)
def test_a_killed_process_changes_nothing(stack: Stack, plays: Plays, kill: Kill) -> None:
    assert plays.origin
    lives = stack.supervisor.exits(kill.process)
    stack.supervisor.arm(kill.process, kill.failpoint)
    try:
        digest = plays.play(kill.every, kill.seed)
        wait_until(lambda: stack.supervisor.has_fallen(kill.process), what="it did not die")
        wait_until(lambda: stack.supervisor.exits(kill.process) == lives + 1)
    finally:
        stack.supervisor.disarm(kill.process)
    assert digest == plays.undisturbed(kill.every, kill.seed)


def test_every_failpoint_of_the_code_is_among_them() -> None:
    call = re.compile(r'failpoint\("(W\d\d)", "(?:before|after)"\)')
    code = [p.read_text() for part in ("platform", "workers") for p in (ROOT / part).rglob("*.py")]
    named = {point for text in code for point in call.findall(text)}
    assert named == {point for points in PASSAGES.values() for point in points}
