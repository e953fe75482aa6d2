"""Where the work stands, and what it cost."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch

from federation.modelling.examples import Example, Outcome
from federation.modelling.messages import ModellingRefused, Step

RSS_UNIT = 1 if sys.platform == "darwin" else 1024
_SEEN = ("step", "examples", "tokens", "count", "correct", "loss_sum", "last_loss")


def device_clock(device: torch.device) -> float:
    """Seconds of this processor on a CPU, of the wall where an accelerator does the work."""
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def memory_of(device: torch.device) -> int:
    """The most that this process has held: on its card, or in the machine's memory."""
    if device.type == "cuda":
        return torch.cuda.max_memory_reserved(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT


def tokens_of(examples: Sequence[Example]) -> int:
    return sum(len(one.ids) for one in examples)


@dataclass(slots=True)
class Progress:
    """Running sums over the micro-batches done so far."""

    steps: int
    device: torch.device
    step: int = 0
    examples: int = 0
    tokens: int = 0
    count: int = 0
    correct: int = 0
    loss_sum: float = 0.0
    last_loss: float | None = None
    before: tuple[int, int] = (0, 0)  # examples and tokens that an earlier life saw
    started: float = field(default_factory=time.perf_counter)

    def add(self, outcome: Outcome, *, examples: int, tokens: int) -> None:
        """Count a batch in; a loss that is no number ends the work."""
        loss = float(outcome.loss.detach())
        if not math.isfinite(loss):
            raise ModellingRefused("diverged", f"the loss at step {self.step} is {loss}")
        self.step += 1
        self.examples += examples
        self.tokens += tokens
        self.count += outcome.count
        self.correct += outcome.correct or 0
        self.loss_sum += loss
        self.last_loss = loss / outcome.count

    @property
    def mean_loss(self) -> float | None:
        return self.loss_sum / self.count if self.count else None

    def seen(self) -> dict[str, float]:
        """What `go_on_from` needs, as JSON takes it."""
        return {name: getattr(self, name) for name in _SEEN if getattr(self, name) is not None}

    def go_on_from(self, seen: Mapping[str, float]) -> None:
        """Begin with the sums of an earlier life."""
        for name, value in seen.items():
            setattr(self, name, value)
        self.before = (self.examples, self.tokens)

    def report(self, *, loss: float | None, learning_rate: float = 0.0) -> Step:
        elapsed = time.perf_counter() - self.started
        now = (self.examples, self.tokens)
        done = (total - before for total, before in zip(now, self.before, strict=True))
        examples, tokens = (count / elapsed if count and elapsed > 0 else None for count in done)
        memory = memory_of(self.device)
        return Step(self.step, self.steps, loss, learning_rate, examples, tokens, memory)
