from __future__ import annotations

import random
from statistics import fmean

import pytest

from federation.valuation import Bin, Measured, Table, ValuationRefused, cumulated, valuations
from federation.valuation.binning import MOST_LOSS, binned, places_of
from federation.valuation.exact import coalitions
from federation.valuation.resampling import widening
from tests.federation.valuation.games import losses_of, measured, played, valuation

GAINS = {"a": 0.3, "b": 0.1, "c": 0.0}


def probed(dice: random.Random, examples: int, owner: str | None = None) -> list[Measured]:
    """A probe whose examples differ in how much each player helps them; with c it never does."""
    base = [dice.uniform(1, 3) for _ in range(examples)]
    gains = {p: [dice.gauss(gain, gain) for _ in base] for p, gain in GAINS.items()}
    return [
        Measured(
            one,
            owner,
            binned([b - sum(gains[p][n] for p in one) for n, b in enumerate(base)], [1] * examples),
        )
        for one in coalitions(tuple(GAINS))
    ]


@pytest.mark.parametrize("examples", [25, 80, 300])
def test_intervals_hold_the_true_value_as_often_as_they_say(examples):
    dice, rounds, held = random.Random(examples), 150, 0
    for _ in range(rounds):
        asked = valuation(GAINS, samples=200)
        found = asked.valued(Table.of(probed(dice, examples))).contributions
        held += sum(found[p].lower <= GAINS[p] <= found[p].upper for p in "ab")
        assert found["c"].lower == found["c"].value == found["c"].upper == 0.0
    assert 0.91 <= held / (2 * rounds) <= 0.99


def test_more_examples_say_it_more_surely_and_the_same_ones_the_same():
    def width(examples: int, seed: int) -> float:
        table = Table.of(probed(random.Random(seed), examples))
        found = valuation(GAINS, samples=200).valued(table)
        assert valuation(GAINS, samples=200).valued(table) == found
        return found.contributions["a"].upper - found.contributions["a"].lower

    few, many = (fmean(width(count, seed) for seed in range(8)) for count in (100, 400))
    assert many == pytest.approx(few / 2, rel=0.25)


def test_sampled_orders_are_less_sure_than_all():
    """Nothing but the orders is uncertain here: what each player adds depends on who was there."""
    losses = losses_of("abcdef", lambda one: 0.1 * len(one) ** 2 - 0.05 * ("a" in one))
    table = Table.of(measured(losses))
    whole = valuation("abcdef", samples=200).valued(table).contributions["a"]
    assert whole.upper == pytest.approx(whole.lower)
    sampled = valuation("abcdef", valuations["guided_permutations"](), samples=200)
    found = sampled.valued(Table.of(played(sampled, losses))).contributions["a"]
    assert found.lower < whole.value < found.upper


def test_where_nothing_says_how_sure_it_is_there_is_no_interval():
    one_bin = [Measured(one.coalition, None, one.bins[:1]) for one in probed(random.Random(2), 40)]
    found = valuation(GAINS).valued(Table.of(one_bin)).contributions["a"]
    assert (found.lower, found.upper) == (None, None)


def test_values_of_rounds_add_up_and_so_does_what_is_odd_about_a_probe():
    asked = valuation(GAINS, samples=300)
    one = asked.valued(Table.of(probed(random.Random(3), 200)))
    three = cumulated(asked.method, [one] * 3)["a"]
    single = one.contributions["a"]
    assert three.value == pytest.approx(3 * single.value)
    assert three.upper - three.lower == pytest.approx(3 * (single.upper - single.lower))
    other = asked.valued(Table.of(probed(random.Random(4), 200)))
    both = cumulated(asked.method, [one, other])["a"]
    apart = [each.contributions["a"] for each in (one, other)]
    assert both.upper - both.lower < 0.95 * sum(each.upper - each.lower for each in apart)


def test_who_joined_late_has_the_values_of_its_own_rounds():
    asked, late = valuation("ab"), valuation("abc")
    losses = losses_of("abc", lambda one: 0.1 * len(one))
    first = asked.valued(Table.of(measured({o: s for o, s in losses.items() if "c" not in o})))
    found = cumulated(asked.method, [first, late.valued(Table.of(measured(losses)))])
    assert {player: one.value for player, one in found.items()} == pytest.approx(
        {"a": 0.2, "b": 0.2, "c": 0.1}
    )


def test_an_average_that_moves_stays_among_its_values():
    assert valuations["cgsv"](memory=0.5).over_rounds([1.0, 0.0, 0.0]) == 0.25


def test_student_s_quantile_over_the_normal_one():
    """t at 97.5 %: 3.182 with 3 degrees, 2.131 with 15, 1.960 at last."""
    for count, quantile in ((4, 3.182), (16, 2.131), (10**6, 1.960)):
        expected = quantile / 1.960 * (count / (count - 1)) ** 0.5
        assert widening(count) == pytest.approx(expected, rel=0.02)


def test_every_example_lies_in_one_bin_and_none_alone():
    for examples in (20, 23, 79, 80, 1000):
        places = places_of(examples)
        assert sorted(place for each in places for place in each) == list(range(examples))
        assert min(map(len, places)) >= 5
        assert len(places) == min(16, examples // 5)
    with pytest.raises(ValuationRefused, match="at least 20"):
        places_of(19)


def test_a_loss_beyond_all_measure_is_bounded():
    found = binned([float("nan"), float("inf"), 1e300, *[0.5] * 17], [1] * 20)
    assert sum(one.loss for one in found) == round((3 * MOST_LOSS + 8.5) * 1e6)
    assert sum(one.count for one in found) == 20


@pytest.mark.parametrize("bins", [(), (Bin(1, 0),), (Bin(2**60, 1),), (Bin(1.5, 1),)])
def test_what_is_no_sum_is_refused(bins):
    with pytest.raises(ValuationRefused, match="unreadable"):
        Table.of([Measured(frozenset(), "a", bins)])
