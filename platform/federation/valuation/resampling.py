"""How sure values are: the bootstrap over bins of examples and over orders.

Bins are drawn with replacement as examples would be (Efron and Tibshirani 1993, chapter 6; by
groups since nobody's single example is recorded), owner by owner, and so are a sampling method's
orders; the two deviations are added (Owen 2007, arXiv:0712.1111, without the interaction). A
percentile interval of few things is too narrow, so deviations are widened by √(n/(n−1)) and by
Student's quantile over the normal one (Hesterberg 2015, arXiv:1411.5279, section 4.3).

An owner's bins are drawn alike in all rounds: the same examples measure every round, and what is
odd about them does not average out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import floor, fsum, sqrt
from operator import mul
from random import Random
from statistics import NormalDist
from typing import TypeAlias

from federation.valuation.base import Draw
from federation.valuation.games import MILLIONTHS, Game

SAMPLES = 1000
CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Gains:
    """What a player adds: draw by draw, bin by bin, in millionths times `parts`."""

    by_draw: Sequence[Sequence[int]]
    parts: int
    counts: Sequence[int]

    @classmethod
    def of(cls, game: Game, draws: Sequence[Draw], player: str) -> Gains:
        by_draw = [_added(game, draw, player) for draw in draws]
        return cls(by_draw, draws[0].parts, game.counts)

    @property
    def value(self) -> float:
        """Whole numbers and one division, so the last bit is the same everywhere."""
        whole = sum(map(sum, self.by_draw))
        return whole / (len(self.by_draw) * self.parts * sum(self.counts) * MILLIONTHS)


ByOwner: TypeAlias = Mapping[str, Mapping[str | None, Gains]]
"""By player, by owner."""

Shaken: TypeAlias = Mapping[str, Mapping[str | None, Sequence[float]]]
"""By player, by owner: deviations from the value, one for each sample; none where nothing says."""


def shaken(gains: ByOwner, *, seed: str, samples: int) -> Shaken:
    """How far each value would be off on other examples and in other orders."""
    found: dict[str, dict[str | None, Sequence[float]]] = {player: {} for player in gains}
    first = next(iter(gains.values()))
    for owner, any_of in first.items():
        counts = list(_counts(len(any_of.counts), samples, f"bins/{owner or ''}"))
        orders = list(_counts(len(any_of.by_draw), samples, f"orders/{seed}"))
        totals = [sum(map(mul, any_of.counts, one)) for one in counts]
        for player, own in gains.items():
            found[player][owner] = _deviations(own[owner], counts, totals, orders)
    return found


def spread(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Between which all but 2.5 % at each end are; None where there are none."""
    if not values:
        return None, None
    ordered = sorted(values)
    beyond = floor((1 - CONFIDENCE) / 2 * len(ordered))
    return ordered[beyond], ordered[-1 - beyond]


def widening(count: int) -> float:
    """By how much the spread of so few things is to be widened; 1 where there is nothing to draw.

    Student's quantile by the series of Fisher and Cornish (1960), to 1 % from 4 degrees on.
    """
    if count == 1:
        return 1.0
    z, free = NormalDist().inv_cdf((1 + CONFIDENCE) / 2), count - 1
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    quantile = z + first / free + second / free**2 + third / free**3
    return sqrt(count / free) * quantile / z


def _added(game: Game, draw: Draw, player: str) -> list[int]:
    total = [0] * len(game.counts)
    for times, without, having in draw.steps.get(player, ()):
        pairs = zip(total, game.losses[without], game.losses[having], strict=True)
        total = [so_far + times * (one - other) for so_far, one, other in pairs]
    return total


def _deviations(
    gains: Gains,
    counts: Sequence[Sequence[int]],
    totals: Sequence[int],
    orders: Sequence[Sequence[int]],
) -> list[float]:
    """Nothing where there is but one bin and one draw."""
    many, bins = len(gains.by_draw), len(gains.counts)
    if many == bins == 1:
        return []
    unit = gains.parts * MILLIONTHS
    by_bin = [sum(column) / (many * unit) for column in zip(*gains.by_draw, strict=True)]
    by_draw = [sum(row) / (sum(gains.counts) * unit) for row in gains.by_draw]
    value, of_bins, of_draws = gains.value, widening(bins), widening(many)
    return [
        of_bins * (fsum(map(mul, by_bin, one)) / total - value)
        + of_draws * (fsum(map(mul, by_draw, order)) / many - value)
        for one, total, order in zip(counts, totals, orders, strict=True)
    ]


def _counts(size: int, samples: int, label: str) -> Iterator[list[int]]:
    """How often each of `size` things is drawn, sample after sample."""
    dice = Random(label)  # noqa: S311 (no secret)
    for _ in range(samples):
        found = [0] * size
        for _ in range(size):
            found[int(dice.random() * size)] += 1
        yield found
