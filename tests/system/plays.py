"""Runs to compare: the same plan gives the same adapter, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any
from uuid import UUID

from tests.system.invariants import Invariants
from tests.system.processes import wait_until
from tests.system.stack import ROWS, Stack, plan

# A lease of three seconds, a new life of an agent with its libraries, the task once more; the
# rest is for a machine that has other things to do.
RECOVERY_SECONDS = 150.0
EVALUATIONS = {"last": len(ROWS), "round": 2 * len(ROWS), "never": 0, "committed": 0}


class Plays:
    """Plays runs of two rounds, that go on from one version, and checks each of them."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self._digests: dict[tuple[str, int], str] = {}
        agents = [stack.home(name).folder for name in ROWS]
        self.invariants = Invariants(stack.sql, stack.folder / "hub", agents)

    @cached_property
    def origin(self) -> UUID:
        """The version that all of them go on from."""
        run = self.stack.start_run(plan(count=1, every="never"))
        assert self.stack.wait_for_end(run) == "completed"
        found: UUID = self.stack.value("SELECT version_id FROM runs_round WHERE run_id = %s", run)
        return found

    def start(self, kind: str, seed: int) -> UUID:
        return self.stack.start_run(_plan(kind, seed), parent_version=str(self.origin))

    def finish(self, run: UUID, kind: str) -> str:
        """Wait for the end, check everything, return the last adapter's digest."""
        assert self.stack.wait_for_end(run, seconds=RECOVERY_SECONDS) == "completed"
        wait_until(self.is_quiet, what="something is still going on")
        return self.invariants.check(run, trainers=len(ROWS), evaluations=EVALUATIONS[kind])

    def play(self, kind: str, seed: int, *, meanwhile: Callable[[UUID], None] | None = None) -> str:
        run = self.start(kind, seed)
        if meanwhile:
            meanwhile(run)
        return self.finish(run, kind)

    def undisturbed(self, kind: str, seed: int) -> str:
        """The digest that this run comes to when nothing happens; played once."""
        if (kind, seed) not in self._digests:
            self._digests[kind, seed] = self.play(kind, seed)
        return self._digests[kind, seed]

    def is_quiet(self) -> bool:
        """Whether every message is sent, and every agent has its answers."""
        unsent = self.stack.sql("SELECT 1 FROM common_outboxmessage WHERE sent_at IS NULL")
        return not unsent and not any(self.stack.doings(name) for name in ROWS)


def _plan(kind: str, seed: int) -> dict[str, Any]:
    if kind == "committed":
        return plan(every="never", seed=seed, rounds={"commit_seconds": int(RECOVERY_SECONDS)})
    return plan(every=kind, seed=seed)
