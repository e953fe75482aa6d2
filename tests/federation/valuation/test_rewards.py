from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from federation.valuation import RewardRule, credits_of
from federation.valuation.rewards import largest_remainder

phis = st.dictionaries(
    st.text("abcdefghij", min_size=1, max_size=6), st.floats(-1, 1), min_size=1, max_size=12
)
halves = st.integers(0, 8).map(lambda number: number / 2)
rules = st.builds(RewardRule, halves, st.floats(0, 1), st.floats(0, 1))


def check_the_sum(budget: int, phis: dict[str, float], rule: RewardRule) -> None:
    found = credits_of(budget, phis, rule)
    assert sum(found.paid.values()) + sum(found.held.values()) + found.left == budget
    for count in (*found.paid.values(), *found.held.values(), found.left):
        assert type(count) is int
        assert count >= 0
    assert found.left == 0 or max(phis.values()) <= 0


def test_val_12_credits_of_a_thousand_rounds_add_up_to_the_budget():
    dice = random.Random(1)
    for _ in range(1000):
        phis = {name: dice.gauss(0.1, 0.2) for name in "abcdefghij"[: dice.randint(1, 10)]}
        rule = RewardRule(dice.randint(0, 8) / 2, dice.random() / 2, dice.random() / 2)
        check_the_sum(dice.randrange(10**6), phis, rule)


@given(budget=st.integers(0, 10**9), phis=phis, rule=rules)
@example(budget=10, phis={"a": -1.0, "b": 0.0}, rule=RewardRule(floor=0.1))
def test_val_12_credits_add_up_to_the_budget(budget, phis, rule):
    check_the_sum(budget, phis, rule)


@given(budget=st.integers(0, 10**6), phis=phis, rule=rules, dice=st.randoms())
def test_no_order_matters(budget, phis, rule, dice):
    mixed = list(phis.items())
    dice.shuffle(mixed)
    assert credits_of(budget, dict(mixed), rule) == credits_of(budget, phis, rule)


@given(budget=st.integers(0, 10**6), phis=phis, rule=rules)
def test_who_contributed_more_does_not_get_less(budget, phis, rule):
    """But for the odd credit, of two who count the same."""
    found = credits_of(budget, phis, rule)
    ordered = sorted(phis, key=phis.__getitem__)
    for less, more in pairwise(ordered):
        is_tie = rule.floor == 1 or rule.weight(phis[less]) == rule.weight(phis[more])
        assert found.of(more) >= found.of(less) - is_tie


def test_by_hand():
    phis = {"ada": 0.5, "blaise": 0.25, "carol": 0.25, "dora": -0.1}
    found = credits_of(1000, phis, RewardRule(floor=0.1, hold_back=0.2))
    assert {player: found.of(player) for player in phis} == {
        "ada": 25 + 450,
        "blaise": 25 + 225,
        "carol": 25 + 225,
        "dora": 25,
    }
    assert found.held == {"ada": 95, "blaise": 50, "carol": 50, "dora": 5}


def test_the_power_says_how_much_more_the_best_get():
    phis = {"a": 0.4, "b": 0.1, "c": 0.0}
    shares = {rho: credits_of(300, phis, RewardRule(rho)).paid for rho in (0.0, 0.5, 1.0, 2.0)}
    assert shares == {
        0.0: {"a": 150, "b": 150, "c": 0},
        0.5: {"a": 200, "b": 100, "c": 0},
        1.0: {"a": 240, "b": 60, "c": 0},
        2.0: {"a": 282, "b": 18, "c": 0},
    }


def test_where_nobody_helped_the_floor_is_paid_and_the_rest_is_left():
    found = credits_of(100, {"a": 0.0, "b": -1.0}, RewardRule(floor=0.3, hold_back=0.1))
    assert (found.paid, found.held, found.left) == ({"a": 14, "b": 14}, {"a": 1, "b": 1}, 70)
    assert credits_of(100, {}, RewardRule(floor=0.3)).left == 100


def test_a_tenth_of_ten_is_one():
    found = credits_of(10, {"a": 1.0}, RewardRule(floor=0.1, hold_back=0.3))
    assert found.held == {"a": 3}


def test_the_odd_credit_is_not_always_the_same_ones():
    alike = dict.fromkeys("abc", Fraction(1))
    lucky = {
        max(found, key=found.__getitem__)
        for round_number in range(30)
        for found in [largest_remainder(1, alike, str(round_number))]
    }
    assert lucky == set("abc")
    assert largest_remainder(1, alike, "7") == largest_remainder(1, alike, "7")


def test_largest_remainders_by_hand():
    """Seats for 47, 16, 15.8, 12, 6.1, 3.1 of 100 parts, ten in all."""
    votes = dict(
        zip("abcdef", map(Fraction, ("47", "16", "15.8", "12", "6.1", "3.1")), strict=True)
    )
    assert largest_remainder(10, votes, "") == {"a": 5, "b": 2, "c": 1, "d": 1, "e": 1, "f": 0}


@pytest.mark.parametrize(
    "changed", [{"rho": 0.3}, {"rho": 5}, {"rho": -1}, {"floor": 1.1}, {"hold_back": -0.1}]
)
def test_what_is_no_rule_is_refused(changed):
    with pytest.raises(ValueError, match=r"rho|shares"):
        RewardRule(**changed)


def test_a_debt_is_not_split():
    with pytest.raises(ValueError, match="cannot be split"):
        credits_of(-1, {"a": 1.0}, RewardRule())
