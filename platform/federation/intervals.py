"""How sure a figure is: bootstrap intervals from sums, without the examples behind them.

To draw n examples with replacement is to draw how many of each kind there are, so the bootstrap
(Efron and Tibshirani 1993, chapters 6 and 13) needs the counts alone. For two models it is paired,
drawing examples and not answers (Koehn 2004, W04-3250): of the 2 × 2 table of who was right. A
mean of losses is drawn from a normal distribution with the variance of the ratio of two sums
(the same, section 5.5 and 8.5), which resampling converges to.

The same seed gives the same interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import floor, log, log1p, sqrt
from random import Random
from statistics import NormalDist

from federation.protocol import Paired, Spread

SAMPLES = 2000
MANY = 20  # expected hits from which a number of hits is drawn as a normal one


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure, and where it lies with the confidence that was asked for."""

    value: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """Draws from one seed."""

    seed: int = 0
    confidence: float = 0.95
    samples: int = SAMPLES

    def of_share(self, hits: int, count: int) -> Interval:
        """Of a share of examples, such as an accuracy or a recall."""
        return self._around(hits / count, lambda dice: _share(dice, hits, count))

    def of_mean_share(self, each: Sequence[tuple[int, int]]) -> Interval:
        """Of the mean of shares, (hits, count) each: labels, with as many examples as they have."""
        value = sum(hits / count for hits, count in each) / len(each)
        return self._around(value, lambda dice: sum(_share(dice, *one) for one in each) / len(each))

    def of_mean(self, total: float, terms: int, spread: Spread) -> Interval:
        """Of Σx/Σt, the mean of a loss over its terms."""
        return self._normal(total / terms, _error(total, terms, spread))

    def of_gain(self, pairs: Paired) -> Interval:
        """Of how much more accurate the one is than the reference, on the same examples."""
        both, gained, lost, neither = counts_of(pairs)
        count = both + gained + lost + neither

        def drawn(dice: Random) -> float:
            more = hits_of(dice, count, gained / count)
            rest = count - gained
            less = hits_of(dice, count - more, lost / rest) if rest else 0
            return (more - less) / count

        return self._around((gained - lost) / count, drawn)

    def of_shares_apart(self, one: tuple[int, int], other: tuple[int, int]) -> Interval:
        """Of a difference of shares where nobody knows which examples both got right."""
        value = one[0] / one[1] - other[0] / other[1]
        return self._around(value, lambda dice: _share(dice, *one) - _share(dice, *other))

    def of_means_apart(self, one: Interval, other: Interval) -> Interval:
        """Of a difference of means, from the interval of each."""
        halves = [(each.upper - each.lower) / 2 for each in (one, other)]
        reach = sqrt(sum(half * half for half in halves))
        value = one.value - other.value
        return Interval(value, value - reach, value + reach)

    def _around(self, value: float, draw: Callable[[Random], float]) -> Interval:
        """The percentile interval."""
        dice = Random(self.seed)  # noqa: S311 (no secret)
        drawn = sorted(draw(dice) for _ in range(self.samples))
        beyond = floor((1 - self.confidence) / 2 * self.samples)
        return Interval(value, drawn[beyond], drawn[-1 - beyond])

    def _normal(self, value: float, error: float) -> Interval:
        reach = NormalDist().inv_cdf((1 + self.confidence) / 2) * error
        return Interval(value, value - reach, value + reach)


def paired_interval(
    pairs: Paired, terms: int, *, seed: int = 0, confidence: float = 0.95
) -> Interval:
    """By how much a model is better than the reference on the same examples, in its own measure.

    In accuracy where there are labels, else in mean loss over so many `terms`, its sign turned.
    """
    bootstrap = Bootstrap(seed, confidence)
    if pairs.both is not None:
        return bootstrap.of_gain(pairs)
    found = bootstrap.of_mean(pairs.loss_sum, terms, pairs.spread)
    return Interval(-found.value, -found.upper, -found.lower)


def counts_of(pairs: Paired) -> tuple[int, int, int, int]:
    """Both right, this one alone, the reference alone, neither. Raises ValueError."""
    found = (pairs.both, pairs.gained, pairs.lost, pairs.neither)
    if None in found:
        raise ValueError("nothing was classified")
    return found  # type: ignore[return-value]


def _error(total: float, terms: int, spread: Spread) -> float:
    """The standard error of μ = Σx/Σt: √Σ(x − μt)² / Σt, since Σ(x − μt) is 0."""
    mean = total / terms
    squares = spread.squares - 2 * mean * spread.by_terms + mean * mean * spread.terms_squares
    return sqrt(max(squares, 0.0)) / terms


def _share(dice: Random, hits: int, count: int) -> float:
    return hits_of(dice, count, hits / count) / count


def hits_of(dice: Random, count: int, share: float) -> int:
    """A number of hits in `count` tries: binomial, by the gaps between hits where these are few."""
    if share > 1 / 2:
        return count - hits_of(dice, count, 1 - share)
    mean = count * share
    if mean >= MANY:
        drawn = round(dice.gauss(mean, sqrt(mean * (1 - share))))
        return min(max(drawn, 0), count)
    hits, place = 0, 0
    while share > 0:
        place += floor(log(1 - dice.random()) / log1p(-share)) + 1
        if place > count:
            break
        hits += 1
    return hits
