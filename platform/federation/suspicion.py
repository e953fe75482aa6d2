"""What makes an update suspicious beside its peers: thresholds and signs as data, no torch.

An update that shows a sign is set aside for a person, never thrown away: a hospital with unusual
patients looks much like an attack. So the thresholds are far from where honest updates on uneven
data lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import fsum, sqrt
from statistics import median

from federation.rules import Evidence

FEWEST = 3  # updates, before they are compared with each other
TIMES_USUAL = 20.0  # the median norm, before one is an outlier
AGAINST = -0.5  # cosine to the others below which one points against them
AGREEING = 0.25  # mean cosine among the others from which they agree
ALIKE = 0.999  # cosine above which one is a copy of another


@dataclass(frozen=True, slots=True)
class Bearing:
    """How one update stands beside the others of its round.

    `cosine_to_others` is taken to the mean of the others' directions: each counts the same, so
    that one that moves the model a thousand times as far does not speak for all. `agreement` is
    the mean cosine among those others. `nearest` is the place of the most similar one.
    """

    norm: float
    usual_norm: float
    cosine_to_others: float
    agreement: float
    nearest: int
    nearest_cosine: float
    came_first: bool  # before its nearest


SIGNS: Mapping[str, Callable[[Bearing], bool]] = {
    "suspect_zero": lambda one: one.norm == 0.0,
    "norm_outlier": lambda one: is_outlier(one.norm, one.usual_norm),
    "copied_update": lambda one: one.nearest_cosine > ALIKE and not one.came_first,
    "against_others": lambda one: one.cosine_to_others < AGAINST and one.agreement >= AGREEING,
}


def is_outlier(norm: float, usual: float) -> bool:
    """Whether an update moves the model far more than is usual, where anything is."""
    return norm > TIMES_USUAL * usual > 0.0


def sign_of(one: Bearing) -> str:
    """The code of the first sign that the update shows, or nothing."""
    return next((code for code, shows in SIGNS.items() if shows(one)), "")


def bearings(evidence: Evidence, arrivals: Sequence[int]) -> list[Bearing]:
    """Each update beside the others, in the order of the evidence; none where they are too few.

    `arrivals`: the place of each in the order in which they came.
    """
    if len(evidence) < FEWEST:
        return []
    crowd = _Crowd(evidence)
    return [crowd.bearing(one, arrivals) for one in range(len(evidence))]


class _Crowd:
    """Sums over all updates, so that each is set beside the others at once."""

    def __init__(self, evidence: Evidence) -> None:
        self.norms = evidence.norms
        self.cosines = evidence.cosines

    @cached_property
    def usual_norm(self) -> float:
        return median([norm for norm in self.norms if norm > 0] or [0.0])

    @cached_property
    def sums(self) -> list[float]:
        """Of each one's cosines to the others."""
        return [fsum(row) - row[place] for place, row in enumerate(self.cosines)]

    @cached_property
    def total(self) -> float:
        return fsum(self.sums)

    def bearing(self, one: int, arrivals: Sequence[int]) -> Bearing:
        others = [place for place in range(len(self.norms)) if place != one]
        nearest = max(others, key=self.cosines[one].__getitem__)
        moved = sum(self.norms[place] > 0 for place in others)
        among = self.total - 2 * self.sums[one]  # cosines between the others, each pair twice
        length = sqrt(max(moved + among, 0.0))  # of the sum of the others' directions
        return Bearing(
            norm=self.norms[one],
            usual_norm=self.usual_norm,
            cosine_to_others=max(-1.0, min(1.0, self.sums[one] / length)) if length > 0 else 0.0,
            agreement=among / (moved * (moved - 1)) if moved > 1 else 0.0,
            nearest=nearest,
            nearest_cosine=self.cosines[one][nearest],
            came_first=arrivals[one] < arrivals[nearest],
        )
