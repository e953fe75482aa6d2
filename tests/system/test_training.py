"""An agent dies in mid-training, and goes on: proved by the steps that it notes, not by time."""

from __future__ import annotations

import json
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from uuid import UUID

import psutil
import pytest

from tests.system.plays import Plays
from tests.system.processes import wait_until
from tests.system.stack import Stack, plan
from tests.system.trainings import AGENT, family, step_of, steps_now

pytestmark = [pytest.mark.system, pytest.mark.crash]

STEPS = 240
USUAL_LEASE = (
    "UPDATE runs_task SET lease_expires_at = now() + interval '60 s' WHERE state = 'leased'"
)


@pytest.fixture(scope="module")
def undisturbed(stack: Stack, plays: Plays) -> tuple[str, str, int]:
    return finished(stack, plays, start_long_run(stack, plays))


def test_killed_in_mid_training_it_goes_on_from_its_checkpoint_and_submits_once(
    stack: Stack, plays: Plays, undisturbed: tuple[str, str, int]
) -> None:
    run = start_long_run(stack, plays)
    wait_until(lambda: step_of(stack) > STEPS / 3, what="it does not train")
    wait_until(lambda: saved(stack), what="there is no checkpoint")
    kill_agent(stack)
    behind = saved(stack)
    steps = set(steps_until_over(stack))
    assert max(steps) > behind > 0
    assert not steps & set(range(1, behind)), (behind, sorted(steps)[:5])
    assert finished(stack, plays, run) == undisturbed


def start_long_run(stack: Stack, plays: Plays) -> UUID:
    chosen = plan(
        count=1,
        every="never",
        seed=41,
        training={"batch_size": 1, "epochs": STEPS / 16},
        rounds={"quorum": 1},
    )
    return stack.start_run(chosen, "ada", parent_version=str(plays.origin))


def finished(stack: Stack, plays: Plays, run: UUID) -> tuple[str, str, int]:
    """Everything checked: the digests of the update and of the result, and the steps told."""
    assert stack.wait_for_end(run, seconds=120) == "completed"
    wait_until(plays.is_quiet, what="something is still going on")
    result = plays.invariants.check(run, trainers=1, evaluations=0)
    (update,) = stack.sql(UPDATES, run)
    return result, update["artifact_id"], update["steps"]


UPDATES = """
    SELECT u.artifact_id, u.steps FROM runs_update u JOIN runs_round r ON r.id = u.round_id
    WHERE r.run_id = %s
"""


def kill_agent(stack: Stack) -> None:
    """All its processes at once, as by a power cut; its lease lasts as long as leases do."""
    lives = stack.supervisor.exits(AGENT)
    for process in family(stack):
        with suppress(psutil.NoSuchProcess):
            process.kill()
    assert stack.change(USUAL_LEASE) == 1
    wait_until(lambda: stack.supervisor.exits(AGENT) == lives + 1, what="it lives")


def steps_until_over(stack: Stack) -> Iterator[int]:
    give_up_at = time.monotonic() + 120
    wait_until(lambda: stack.doings("ada"), what="it has no task")
    while stack.doings("ada"):
        assert time.monotonic() < give_up_at, "the task does not end"
        yield from steps_now(stack)
        time.sleep(0.01)


def saved(stack: Stack) -> int:
    """How many steps the agent's checkpoint has behind it; read without our code."""
    for file in stack.home("ada").tasks.glob("*/checkpoint.safetensors"):
        with file.open("rb") as opened, suppress(FileNotFoundError):
            (length,) = struct.unpack("<Q", opened.read(8))
            about = json.loads(opened.read(length))["__metadata__"]["checkpoint"]
            steps: int = json.loads(about)["steps"]
            return steps
    return 0
