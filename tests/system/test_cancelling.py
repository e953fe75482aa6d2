"""A run is cancelled in mid-training: proved by steps and processes, not by time."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import pytest

from agent.datasets import found_in, register
from tests.system.processes import wait_until
from tests.system.sites import start_wide_run
from tests.system.stack import Stack
from tests.system.trainings import at_work_on, step_of

pytestmark = pytest.mark.system


@pytest.fixture
def _estuary(stack: Stack) -> None:
    """Ada has data for the federation whose base model is wide, too; a step there takes long."""
    chosen = found_in(stack.folder / "data" / "ada", text="text", label="label", prompt="prompt")
    register(stack.home("ada").data_file, stack.facts["wide"]["slug"], chosen)


@pytest.mark.usefixtures("_estuary")
def test_a_cancelled_training_ends_within_two_steps_and_its_process_too(stack: Stack) -> None:
    run = start_wide_run(stack, "ada", megabytes=40, epochs=100.0)
    wait_until(lambda: step_of(stack) > 1, what="it does not train")
    (task,) = stack.doings("ada")
    (training,) = at_work_on(stack, task.parent)
    stack.ada.post(f"/runs/{run}/cancel", {"reason": "enough"})
    wait_until(lambda: is_cancelled(task.parent), every=0.002, what="it does not hear of it")
    heard = last = step_of(stack)
    while stack.doings("ada"):
        last = max(last, step_of(stack))
    assert last - heard <= 2
    wait_until(lambda: not training.is_running(), seconds=5, what="the process goes on")
    wait_until(lambda: "task.stopped" in told(stack, run), seconds=5, what="nobody says so")
    assert told(stack, run)["task.stopped"].endswith("was stopped at Ada & Co in round 1")
    assert stack.ada.all("/updates", run=str(run)) == []


def is_cancelled(folder: Path) -> bool:
    return (folder / "cancel").exists() or not (folder / "offer.json").exists()


def told(stack: Stack, run: UUID) -> dict[str, str]:
    """What the run's page tells of its events, the last of each kind."""
    return {event["kind"]: event["sentence"] for event in stack.ada.all("/events", run=str(run))}
