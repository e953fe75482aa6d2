"""How sure a figure is: bootstrap intervals from sums, without the examples behind them.

To draw n examples with replacement is to draw how many of each kind there are, so the bootstrap
(Efron and Tibshirani 1993, chapters 6 and 13) needs the counts alone. For two models it is paired,
drawing examples and not answers (Koehn 2004, W04-3250): of the 2 × 2 table of who was right. A
mean of losses is drawn from a normal distribution with the variance of the ratio of two sums
(the same, section 5.5 and 8.5), which resampling converges to.

The same seed gives the same interval. numpy is imported where it is needed: the web process
judges a version now and then, and does not carry it all the time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Any

from federation.protocol import Paired, Spread

SAMPLES = 2000


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
        drawn = self._dice().binomial(count, hits / count, self.samples) / count
        return self._around(hits / count, drawn)

    def of_mean_share(self, each: Sequence[tuple[int, int]]) -> Interval:
        """Of the mean of shares, (hits, count) each: labels, with as many examples as they have."""
        value = sum(hits / count for hits, count in each) / len(each)
        dice = self._dice()
        drawn = sum(dice.binomial(n, hits / n, self.samples) / n for hits, n in each) / len(each)
        return self._around(value, drawn)

    def of_mean(self, total: float, terms: int, spread: Spread) -> Interval:
        """Of Σx/Σt, the mean of a loss over its terms."""
        return self._normal(total / terms, _error(total, terms, spread))

    def of_gain(self, pairs: Paired) -> Interval:
        """Of how much more accurate the one is than the reference, on the same examples."""
        both, gained, lost, neither = counts_of(pairs)
        count = both + gained + lost + neither
        shares = [gained / count, lost / count, (both + neither) / count]
        drawn = self._dice().multinomial(count, shares, self.samples)
        return self._around((gained - lost) / count, (drawn[:, 0] - drawn[:, 1]) / count)

    def of_shares_apart(self, one: tuple[int, int], other: tuple[int, int]) -> Interval:
        """Of a difference of shares where nobody knows which examples both got right."""
        dice = self._dice()
        drawn = [dice.binomial(n, hits / n, self.samples) / n for hits, n in (one, other)]
        return self._around(one[0] / one[1] - other[0] / other[1], drawn[0] - drawn[1])

    def of_means_apart(self, one: Interval, other: Interval) -> Interval:
        """Of a difference of means, from the interval of each."""
        halves = [(each.upper - each.lower) / 2 for each in (one, other)]
        reach = sqrt(sum(half * half for half in halves))
        value = one.value - other.value
        return Interval(value, value - reach, value + reach)

    def _dice(self) -> Any:
        from numpy.random import default_rng  # noqa: PLC0415

        return default_rng(self.seed)

    def _around(self, value: float, drawn: Any) -> Interval:
        """The percentile interval."""
        from numpy import quantile  # noqa: PLC0415

        beyond = (1 - self.confidence) / 2
        lower, upper = quantile(drawn, [beyond, 1 - beyond]).tolist()
        return Interval(value, lower, upper)

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
