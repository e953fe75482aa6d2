"""One organisation's agent, as its site engineer has it: a folder, data, a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil

from agent.home import Home
from agent.journal import Entry, Journal
from tests.agent.fake_hub import FakeHub, Task

ROOTS = [str(Path(__file__).parents[2] / name) for name in ("platform", "workers")]
RUN = ("run", "--device", "cpu")


class Place:
    def __init__(self, hub: FakeHub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.home = Home.found(folder / "home")
        self.log = folder / "agent.log"
        self.process: subprocess.Popen[bytes] | None = None

    def command(self, *words: str, status: int = 0) -> str:
        argv = [sys.executable, "-m", "agent", *words]
        done = subprocess.run(
            argv, check=False, capture_output=True, text=True, env=self._env({}), timeout=60
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def start(self, env: Mapping[str, str] | None = None, *, words: Sequence[str] = RUN) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "agent", *words],
                env=self._env(env or {}),
                stdout=log,
                stderr=log,
            )

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """As a power cut would; the kernel takes its children along."""
        self._end(signal.SIGKILL)

    def stop(self) -> int:
        return self._end(signal.SIGTERM)

    def wait_until_dead(self) -> None:
        assert self.process
        self.process.wait(120)

    def _end(self, number: signal.Signals) -> int:
        assert self.process
        children = psutil.Process(self.process.pid).children(recursive=True)
        self.process.send_signal(number)
        status = self.process.wait(40)
        _, alive = psutil.wait_procs(children, timeout=5)
        assert not alive, alive
        return status

    def child(self, command: str) -> psutil.Process:
        assert self.process
        children = psutil.Process(self.process.pid).children(recursive=True)
        return next(child for child in children if command in " ".join(child.cmdline()))

    def logged(self) -> str:
        return self.log.read_text()

    def entries(self) -> list[Entry]:
        return Journal(self.home.tasks).entries()

    def step_of(self, task: Task) -> int:
        """How far the worker is with a task; 0 where it has not begun or is over."""
        entry = Journal(self.home.tasks).entry(task.offer.id)
        return entry.progress.step if entry else 0

    def wait_until(self, happened: Callable[[], object], seconds: float = 120) -> None:
        give_up_at = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < give_up_at, self.logged()[-2000:]
            time.sleep(0.02)

    def wait_until_idle(self) -> None:
        self.wait_until(lambda: not self.entries())

    def _env(self, env: Mapping[str, str]) -> dict[str, str]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("FOEDUS", "AGENT"))}
        path = os.pathsep.join(ROOTS)
        return {**inherited, "PYTHONPATH": path, "FOEDUS_AGENT_HOME": str(self.home.folder), **env}
