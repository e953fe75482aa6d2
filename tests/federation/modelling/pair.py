"""One of two processes that train together, as a program: python -m tests.….pair FOLDER INDEX.

Everything that two processes are to show, one after the other, since each start takes seconds.
"""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from federation.modelling import Checkpointing, Examples, Seat, Step, Trained
from federation.modelling.loading import _kept
from federation.plan import Aggregation, FullWeights, Plan
from tests.federation.modelling.worlds import (
    World,
    answers,
    begun,
    classification,
    continuation,
    ignore,
    trained,
    weather,
)

STEP = 5  # before which micro-batch the checkpoint is kept: in the middle of a step
FULL = {"adapter": FullWeights(), "aggregation": Aggregation(strategy="fedavg")}
EVERYTHING = {
    "epochs": 2,
    "accumulation": 2,
    "schedule": "cosine",
    "clip_norm": 0.05,
    "proximal_mu": 0.1,
}
# Thirteen examples in fours: the last batch leaves one of two processes without work.
PLANS: dict[str, tuple[Plan, bool]] = {
    "copies": (continuation(**EVERYTHING, gradient_checkpointing=True), False),
    "copies of all weights": (continuation(**EVERYTHING).model_copy(update=FULL), False),
    "copies with dropout": (classification(**EVERYTHING), False),
    "shards": (continuation(**EVERYTHING, gradient_checkpointing=True), True),
    "shards of all weights": (
        continuation(**EVERYTHING, optimiser="sgd").model_copy(update=FULL),
        True,
    ),
}
CORRECTED = ("copies of all weights", "shards of all weights")
GO_ON = ("copies with dropout", "shards")


def examples_of(plan: Plan) -> Examples:
    return weather(13) if plan.task.type == "sequence_classification" else answers(13)


def world(name: str, folder: Path) -> World:
    plan, _ = PLANS[name]
    base = folder / ("encoder" if plan.task.type == "sequence_classification" else "causal")
    return World(base, plan, folder / f"{name}.start")


def correction_of(name: str, folder: Path) -> Path | None:
    """What is added to each gradient of a training, if anything is: here the weights themselves."""
    return world(name, folder).start if name in CORRECTED else None


def prepare(folder: Path) -> None:
    for name, (plan, _) in PLANS.items():
        made = begun(world(name, folder).base, plan, folder / name)
        made.start.replace(folder / f"{name}.start")


class Half:
    """One of the two, at one training after the other."""

    def __init__(self, folder: Path, index: int) -> None:
        self._folder, self._index = folder, index

    def train(self, name: str, target: str, **options: object) -> Trained:
        """As one process would, with nothing left of the training before."""
        _kept.cache_clear()
        seat = Seat(self._index, 2, self._folder / "meeting", PLANS[name][1])
        here = world(name, self._folder)
        options |= {"examples": examples_of(here.plan), "seat": seat}
        options["correction"] = correction_of(name, self._folder)
        return trained(here.base, here.plan, here.start, self._folder / target, **options)

    def show(self) -> None:
        for name in PLANS:
            done = self.train(name, f"{name}.two")
            if self._index == 0:
                (self._folder / f"{name}.facts").write_text(repr(replace(done, device_seconds=0)))
        for name in GO_ON:
            self.go_on(name)

    def go_on(self, name: str) -> None:
        """Go on from the checkpoint that was there at one moment of the training."""
        moment = self._folder / f"{name}.checkpoint"
        now = Checkpointing(self._folder / "checkpoint", every_seconds=0.0)
        keeping = partial(_keep, now.file, moment) if self._index == 0 else ignore
        self.train(name, "none", checkpointing=now, on_step=keeping)
        steps: list[int] = []
        then = Checkpointing(moment, every_seconds=3600.0)
        note = lambda step: steps.append(step.step)  # noqa: E731
        self.train(name, f"{name}.resumed", checkpointing=then, on_step=note)
        (self._folder / f"{name}.{self._index}.from").write_text(str(steps[0]))


def _keep(checkpoint: Path, target: Path, step: Step) -> None:
    if step.step == STEP:
        shutil.copy(checkpoint, target)


if __name__ == "__main__":
    Half(Path(sys.argv[1]), int(sys.argv[2])).show()
    os._exit(0)  # torch's own end of a team may hang
