"""What makes an update suspicious beside its peers: thresholds and signs as data, no torch.

An update that shows a sign is set aside for a person, never thrown away: a hospital with unusual
patients looks much like an attack. So the thresholds are far from where honest updates on uneven
data lie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import fsum, sqrt
from statistics import median

from federation.rules import Evidence

FEWEST = 3  # updates, before they are compared with each other
TIMES_USUAL = 20.0  # the median norm, before one is an outlier
AGAINST = -0.5  # cosine to the others below which one points against them
AGREEING = 0.25  # mean cosine among the others from which they agree
ALIKE = 0.999  # cosine above which one is a copy of another
FEWEST_PROBED = 4  # updates with a known loss, before their losses are compared
TIMES_SPREAD = 6.0  # above the others' median, before a change of the loss is an outlier
SCALED = 1.4826  # makes the median absolute deviation a standard deviation, where all is normal
LEAST_OF_USUAL = 0.25  # the spread is never taken smaller than this part of the others' median,
LEAST_OF_LOSS = 0.02  # or this part of the loss at the start


@dataclass(frozen=True, slots=True)
class Losses:
    """What each update by itself does to the loss on a public probe set, in their order."""

    start: float  # the loss before any of them
    changes: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Harm:
    """How much one update changes the loss, beside the others: their median, and their spread."""

    change: float
    usual: float
    spread: float

    @property
    def is_odd(self) -> bool:
        """It makes worse what the others make better, and by far."""
        return self.usual < 0 < self.change > self.usual + TIMES_SPREAD * self.spread


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
    harm: Harm | None = None  # where it was measured


SIGNS: Mapping[str, Callable[[Bearing], bool]] = {
    "suspect_zero": lambda one: one.norm == 0.0,
    "norm_outlier": lambda one: is_outlier(one.norm, one.usual_norm),
    "copied_update": lambda one: one.nearest_cosine > ALIKE and not one.came_first,
    "against_others": lambda one: one.cosine_to_others < AGAINST and one.agreement >= AGREEING,
    "worse_on_probe": lambda one: one.harm is not None and one.harm.is_odd,
}


def is_outlier(norm: float, usual: float) -> bool:
    """Whether an update moves the model far more than is usual, where anything is."""
    return norm > TIMES_USUAL * usual > 0.0


def sign_of(one: Bearing) -> str:
    """The code of the first sign that the update shows, or nothing."""
    return next((code for code, shows in SIGNS.items() if shows(one)), "")


def bearings(
    evidence: Evidence, arrivals: Sequence[int], losses: Losses | None = None
) -> list[Bearing]:
    """Each update beside the others, in the order of the evidence; none where they are too few.

    `arrivals`: the place of each in the order in which they came; `losses`: of each, if known.
    """
    if len(evidence) < FEWEST:
        return []
    crowd = _Crowd(evidence)
    found = [crowd.bearing(one, arrivals) for one in range(len(evidence))]
    harms = harms_of(losses) if losses else []
    if not harms:
        return found
    return [replace(one, harm=harm) for one, harm in zip(found, harms, strict=True)]


def harms_of(losses: Losses) -> list[Harm]:
    """Each change of the loss beside those of all others; none where they are too few.

    One is odd where the median of the others makes the model better, and it makes the model worse
    by more than that median and six times their spread. The spread is their median absolute
    deviation, at least a quarter of the median: with few others the deviation may be next to
    nothing by chance. So an odd one harms at least half as much as the others help. Where most
    updates harm by themselves, as they do on very uneven data, the rule says nothing.

    Where honest changes are normal and their spread is half of what they help, it names somebody in
    3 of 1,000 rounds of four updates and in 1 of 1,000 rounds of 32; where it is all of it, in 7
    of 100 and in 1 of 1,000.
    """
    if len(losses.changes) < FEWEST_PROBED:
        return []
    return [
        _harm(losses, change, [*losses.changes[:place], *losses.changes[place + 1 :]])
        for place, change in enumerate(losses.changes)
    ]


def _harm(losses: Losses, change: float, others: Sequence[float]) -> Harm:
    usual = median(others)
    deviation = SCALED * median(abs(other - usual) for other in others)
    least = max(LEAST_OF_USUAL * abs(usual), LEAST_OF_LOSS * abs(losses.start))
    return Harm(change, usual, max(deviation, least))


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
