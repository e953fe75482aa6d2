"""What the worker tells the poller while it works: numbers, and nothing but numbers."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Literal

from agent.errors import Cancelled
from agent.load import Load
from federation.protocol import Progress

if TYPE_CHECKING:
    from agent.journal import Entry
    from federation.modelling import Step

Phase = Literal["fetching", "training", "evaluating", "uploading"]

WRITE_EVERY_SECONDS = 0.2


class Reporter:
    """Writes a task's progress file; every report is also where a cancelled task stops."""

    def __init__(self, entry: Entry) -> None:
        self._entry = entry
        self._written_at = -math.inf
        self._load = Load()

    def check(self) -> None:
        """Raise Cancelled if the task is no longer wanted."""
        if self._entry.is_cancelled:
            raise Cancelled

    def enter(self, phase: Phase) -> None:
        self._report(Progress(phase=phase))

    def step(self, phase: Phase, step: Step, *, part: int = 0, parts: int = 1) -> None:
        """Report a micro-batch that is about to begin, in one of several equal parts."""
        self.check()
        if time.monotonic() - self._written_at < WRITE_EVERY_SECONDS:
            return
        self._report(
            Progress(
                phase=phase,
                step=part * step.steps + step.step,
                steps=parts * step.steps,
                loss=_finite(step.loss),
                learning_rate=_finite(step.learning_rate),
                examples_per_second=_finite(step.examples_per_second),
                tokens_per_second=_finite(step.tokens_per_second),
                device_memory_bytes=step.memory_bytes,
                device_utilisation=self._load.share(),
            )
        )

    def _report(self, progress: Progress) -> None:
        self.check()
        self._entry.keep_progress(progress)
        self._written_at = time.monotonic()


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
