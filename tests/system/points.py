"""Where processes are killed: every failpoint of the code, in each process that passes it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count

# How often each process passes a point in an undisturbed run of two rounds with two agents, by
# when the run evaluates. A part of an upload is one of three.
EVERY = ("last", "round", "never")
PASSAGES: dict[str, dict[str, tuple[int, int, int]]] = {
    "web": {
        "W03": (7, 9, 5),
        "W04": (6, 8, 4),
        "W05": (4, 4, 4),
        "W06": (12, 12, 12),
        "W07": (12, 12, 12),
        "W08": (4, 4, 4),
        "W09": (4, 4, 4),
        "W16": (2, 4, 0),
    },
    "worker": {
        "W01": (0, 1, 0),
        "W02": (0, 1, 0),
        "W03": (2, 2, 2),
        "W17": (1, 2, 0),
    },
    "compute": {
        "W01": (2, 1, 2),
        "W02": (2, 1, 2),
        "W03": (6, 6, 6),
        "W10": (4, 4, 4),
        "W11": (2, 2, 2),
        "W12": (2, 2, 2),
        "W13": (2, 2, 2),
        "W14": (2, 2, 2),
        "W17": (1, 0, 2),
        "W20": (2, 2, 2),
    },
    "agent-ada": {
        "W04": (3, 4, 2),
        "W05": (2, 2, 2),
        "W06": (4, 4, 4),
        "W08": (2, 2, 2),
        "W09": (2, 2, 2),
        "W16": (1, 2, 0),
    },
}
# A hub that holds an update's bytes does not ask for them again, so here each run is a new one.
UPLOADING = {"W06", "W07", "W08"}


@dataclass(frozen=True, slots=True)
class Kill:
    """One process dies once, at its `passage`-th passage of a point, in a run with a seed."""

    process: str
    point: str
    when: str
    passage: int
    every: str
    seed: int

    def __str__(self) -> str:
        return f"{self.process}-{self.failpoint}-{self.every}-{self.seed}"

    @property
    def failpoint(self) -> str:
        return f"{self.point}:{self.when}:{self.passage}"


def all_kills() -> Iterator[Kill]:
    """Every place with three seeds; a later seed kills at a later passage, where there is one."""
    fresh = count(100)
    for number, every in enumerate(EVERY):
        for process, points in PASSAGES.items():
            for point, passages in points.items():
                for when in ("before", "after"):
                    if passages[number]:
                        passage = min(number + 1, passages[number])
                        seed = next(fresh) if point in UPLOADING else number
                        yield Kill(process, point, when, passage, every, seed)


def is_exhaustive() -> bool:
    """Whether `make crash` asks, which has all the time in the world."""
    return os.environ.get("FOEDUS_CRASH") == "all"


def chosen_kills() -> list[Kill]:
    """All with FOEDUS_CRASH=all; else one at each point of each process, before or after it."""
    kills = list(all_kills())
    if is_exhaustive():
        return kills
    dice = random.Random("foedus")
    dice.shuffle(kills)
    sample = list({(kill.process, kill.point): kill for kill in kills}.values())
    dice.shuffle(sample)  # what has died has time to come back
    return sample
