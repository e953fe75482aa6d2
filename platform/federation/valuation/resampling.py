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
from math import floor, sqrt
from operator import mul
from random import Random
from statistics import NormalDist
from typing import TypeAlias

from federation.valuation.base import Draw
from federation.valuation.games import MILLIONTHS, Game

SAMPLES = 1000
CONFIDENCE = 0.95

Shaken: TypeAlias = Mapping[str, Mapping[str | None, Sequence[float]]]
"""By player, by owner: deviations from the value, one for each sample; none where nothing says."""


def shaken(
    games: Mapping[str | None, Game],
    draws: Mapping[str | None, Sequence[Draw]],
    players: Sequence[str],
    *,
    seed: str,
    samples: int,
) -> Shaken:
    """How far each value would be off on other examples and in other orders."""
    found: dict[str, dict[str | None, Sequence[float]]] = {player: {} for player in players}
    for owner, game in games.items():
        own = draws[owner]
        counts = list(_counts(len(game.counts), samples, f"bins/{owner or ''}"))
        orders = list(_counts(len(own), samples, f"orders/{seed}"))
        totals = [sum(map(mul, game.counts, one)) for one in counts]
        for player in players:
            gains = [_gains(game, draw, player) for draw in own]
            found[player][owner] = _deviations(gains, game, counts, totals, orders)
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


def _gains(game: Game, draw: Draw, player: str) -> list[float]:
    """What a player adds in one draw, bin by bin; their sum over the count is the value."""
    total = [0] * len(game.counts)
    for step in draw.steps.get(player, ()):
        without, having = game.losses[step.without], game.losses[step.having]
        for place, (one, other) in enumerate(zip(without, having, strict=True)):
            total[place] += step.times * (one - other)
    return [value / (draw.parts * MILLIONTHS) for value in total]


def _deviations(
    gains: Sequence[Sequence[float]],
    game: Game,
    counts: Sequence[Sequence[int]],
    totals: Sequence[int],
    orders: Sequence[Sequence[int]],
) -> list[float]:
    """`gains`: by draw, by bin. Nothing where there is but one bin and one draw."""
    many, bins = len(gains), len(game.counts)
    if many == bins == 1:
        return []
    by_bin = [sum(column) / many for column in zip(*gains, strict=True)]
    by_draw = [sum(row) / game.count for row in gains]
    value = sum(by_bin) / game.count
    of_bins, of_draws = widening(bins), widening(many)
    return [
        of_bins * (sum(map(mul, by_bin, one)) / total - value)
        + of_draws * (sum(map(mul, by_draw, order)) / many - value)
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
