"""What an agent's training looks like from outside: its processes, and the steps that it notes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psutil

from tests.system.stack import Stack

AGENT = "agent-ada"


def family(stack: Stack) -> list[psutil.Process]:
    """The agent's processes."""
    pid = stack.supervisor.pid(AGENT)
    if pid is None:
        return []
    with suppress(psutil.NoSuchProcess):
        first = psutil.Process(pid)
        return [first, *first.children(recursive=True)]
    return []


def step_of(stack: Stack) -> int:
    return max(steps_now(stack), default=0)


def steps_now(stack: Stack) -> Iterator[int]:
    """Where the agent's trainings are, as it notes it for its heartbeats."""
    for folder in stack.home("ada").tasks.glob("*"):
        with suppress(FileNotFoundError):
            yield json.loads((folder / "progress.json").read_text())["step"]


def at_work_on(stack: Stack, folder: Path) -> list[psutil.Process]:
    """Which of the agent's processes hold a task's lock."""
    lock = str(folder / "lock")
    return [one for one in family(stack) if lock in {file.path for file in one.open_files()}]
