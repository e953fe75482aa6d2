"""Where processes are killed: every failpoint of the code, in each process that passes it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count, zip_longest

# How often each process passes a point in an undisturbed run of two rounds with two agents, by
# when the run evaluates; in the last kind agents commit first, and only that is of interest. A
# part of an upload is one of three.
KINDS = ("last", "round", "never", "committed")
PASSAGES: dict[str, dict[str, tuple[int, int, int, int]]] = {
    "web": {
        "W03": (7, 9, 5, 0),
        "W04": (6, 8, 4, 0),
        "W05": (4, 4, 4, 0),
        "W06": (12, 12, 12, 0),
        "W07": (12, 12, 12, 0),
        "W08": (4, 4, 4, 0),
        "W09": (4, 4, 4, 0),
        "W16": (2, 4, 0, 0),
        "W21": (0, 0, 0, 4),
        "W22": (0, 0, 0, 2),
    },
    "worker": {
        "W01": (0, 1, 0, 0),
        "W02": (0, 1, 0, 0),
        "W03": (2, 2, 2, 0),
        "W17": (1, 2, 0, 0),
    },
    "compute": {
        "W01": (2, 1, 2, 0),
        "W02": (2, 1, 2, 0),
        "W03": (6, 6, 6, 0),
        "W10": (4, 4, 4, 0),
        "W11": (2, 2, 2, 0),
        "W12": (2, 2, 2, 0),
        "W13": (2, 2, 2, 0),
        "W14": (2, 2, 2, 0),
        "W17": (1, 0, 2, 0),
        "W20": (2, 2, 2, 0),
    },
    "agent-ada": {
        "W04": (3, 4, 2, 0),
        "W05": (2, 2, 2, 0),
        "W06": (4, 4, 4, 0),
        "W08": (2, 2, 2, 0),
        "W09": (2, 2, 2, 0),
        "W16": (1, 2, 0, 0),
        "W21": (0, 0, 0, 2),
    },
}
# A hub that holds an update's bytes does not ask for them again, so here each run is a new one.
UPLOADING = {"W06", "W07", "W08"}


@dataclass(frozen=True, slots=True)
class Kill:
    """One process dies once, at its `passage`-th passage of a point."""

    process: str
    point: str
    when: str
    passage: int

    def __str__(self) -> str:
        return f"{self.process}-{self.failpoint}"

    @property
    def failpoint(self) -> str:
        return f"{self.point}:{self.when}:{self.passage}"


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Processes die, each of them once, in a run of this kind with a seed."""

    kills: tuple[Kill, ...]
    kind: str
    seed: int

    def __str__(self) -> str:
        return "-".join([*map(str, self.kills), self.kind, str(self.seed)])


def all_disturbances() -> Iterator[Disturbance]:
    """Every place with three seeds; a later seed kills at a later passage, where there is one."""
    fresh = count(100)
    for number in range(len(KINDS)):
        for process, points in PASSAGES.items():
            for point, passages in points.items():
                for when in ("before", "after"):
                    if passages[number]:
                        kill = Kill(process, point, when, min(number + 1, passages[number]))
                        yield _disturbance([kill], number, fresh)


def sample() -> Iterator[Disturbance]:
    """Each point of each process once, before or after it; several processes die in each run."""
    dice, fresh = random.Random("foedus"), count(100)
    most = KINDS.index("round")
    for number in (most, KINDS.index("last"), KINDS.index("committed")):
        chosen = [list(_chosen(process, number, most, dice)) for process in PASSAGES]
        for kills in zip_longest(*chosen):
            yield _disturbance([kill for kill in kills if kill], number, fresh)


def _chosen(process: str, number: int, most: int, dice: random.Random) -> Iterator[Kill]:
    """The points of a process that are passed in this kind of run and not in the usual one.

    Those that need a new run come first, so that they share one with those of other processes.
    """
    points = PASSAGES[process]
    for point in sorted(points, key=lambda point: (point not in UPLOADING, point)):
        passages = points[point][number]
        if passages and (number == most or not points[point][most]):
            when = dice.choice(("before", "after"))
            yield Kill(process, point, when, dice.randint(1, min(3, passages)))


def _disturbance(kills: list[Kill], number: int, fresh: Iterator[int]) -> Disturbance:
    is_new = any(kill.point in UPLOADING for kill in kills)
    return Disturbance(tuple(kills), KINDS[number], next(fresh) if is_new else number)


def is_exhaustive() -> bool:
    """Whether `make crash` asks, which has all the time in the world."""
    return os.environ.get("FOEDUS_CRASH") == "all"


def chosen_disturbances() -> list[Disturbance]:
    """All of them one by one with FOEDUS_CRASH=all, else a sample."""
    return list(all_disturbances() if is_exhaustive() else sample())
