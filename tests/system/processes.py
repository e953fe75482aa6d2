"""Supervised processes that a test can kill at a named point, and the services below them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from hub.embedded.supervisor import Supervisor


class ArmedSupervisor(Supervisor):
    """Gives each child a file of its own that can order it to die; see `federation.failpoints`."""

    def __init__(self, folder: Path) -> None:
        # Tests kill again and again: who dies young is restarted at once all the same.
        super().__init__(grace=5.0, settled=0.0)
        self.folder = folder

    def start(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        **options: Any,
    ) -> None:
        armed = {
            "FOEDUS_FAILPOINT": f"@{self._order(name)}",
            "FOEDUS_FAILPOINT_MARK": str(self._mark(name)),
        }
        super().start(name, argv, env={**(env or {}), **armed}, **options)

    def arm(self, name: str, failpoint: str) -> None:
        """From now on, the child dies when it comes there; once."""
        self._mark(name).unlink(missing_ok=True)
        written = self._order(name).with_suffix(".new")
        written.write_text(failpoint)
        written.replace(self._order(name))

    def disarm(self, name: str) -> None:
        self._order(name).unlink(missing_ok=True)

    def has_fallen(self, name: str) -> bool:
        """Whether the child has come to the point that it was armed with."""
        return self._mark(name).exists()

    def _order(self, name: str) -> Path:
        return self.folder / f"{name}.order"

    def _mark(self, name: str) -> Path:
        return self.folder / f"{name}.mark"


def serving(sockets: Path, program: str) -> psutil.Process:
    """The process of a service that has its socket in a folder."""
    for process in psutil.process_iter(["name", "cmdline"]):
        words = process.info["cmdline"] or []
        if process.info["name"] == program and any(str(sockets) in word for word in words):
            return process
    raise LookupError(program)


def wait_until(
    happened: Callable[[], object], *, seconds: float = 60, every: float = 0.03, what: str = ""
) -> None:
    give_up_at = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < give_up_at, what or "it did not happen"
        time.sleep(every)


def without_our_services() -> dict[str, str]:
    """The environment of the tests without what would lead a child to their own services."""
    ours = ("DATABASE_URL", "REDIS_URL", "BROKER_URL", "SECRET_KEY", "HUB_SIGNING_KEY")
    return {k: v for k, v in os.environ.items() if k not in ours and not k.startswith("FOEDUS")}
