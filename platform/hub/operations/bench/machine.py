"""What the hub's processes take of the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

import psutil

from hub.embedded.supervisor import Supervisor

LOOK_SECONDS = 0.05
PROCESSES = ("web", "worker", "compute", "beat")


@dataclass(slots=True)
class Usage:
    """CPU seconds by process, and the most memory that all had together at one moment."""

    cpu: dict[str, float] = field(default_factory=dict)
    rss_bytes: int = 0
    web_rss_bytes: int = 0  # the most that the web process had

    @property
    def cpu_seconds(self) -> float:
        return sum(self.cpu.values())


@dataclass(slots=True)
class Meter:
    supervisor: Supervisor

    @contextmanager
    def measuring(self) -> Iterator[Usage]:
        """Fill in the usage of the block."""
        usage, over = Usage(), threading.Event()
        before = self.cpu()

        def look() -> None:
            while not over.wait(LOOK_SECONDS):
                found = self.rss_by_process()
                usage.rss_bytes = max(usage.rss_bytes, sum(found.values()))
                usage.web_rss_bytes = max(usage.web_rss_bytes, found.get("web", 0))

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield usage
        finally:
            over.set()
            thread.join()
            usage.cpu = {name: now - before[name] for name, now in self.cpu().items()}

    def cpu(self) -> dict[str, float]:
        return {
            name: times.user + times.system
            for name, process in self._processes().items()
            for times in [process.cpu_times()]
        }

    def rss_bytes(self) -> int:
        return sum(self.rss_by_process().values())

    def rss_by_process(self) -> dict[str, int]:
        found = {}
        for name, process in self._processes().items():
            with suppress(psutil.NoSuchProcess):
                found[name] = process.memory_info().rss
        return found

    def _processes(self) -> dict[str, psutil.Process]:
        pids = {name: self.supervisor.pid(name) for name in PROCESSES}
        return {name: psutil.Process(pid) for name, pid in pids.items() if pid}
