"""What holds of every game, and of all methods or those that promise it."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from federation.valuation import NOBODY, Table, ValuationRefused, valuations
from federation.valuation.valuing import trimmed_mean
from tests.federation.valuation.games import (
    by_all_orders,
    exchanged,
    games,
    losses_of,
    measured,
    played,
    valuation,
    values_of,
    without,
)

CERTAIN = sorted(set(valuations) - {"guided_permutations"})
some = settings(max_examples=40)  # each is several games
methods = pytest.mark.parametrize("name", sorted(valuations))


@some
@given(losses=games())
def test_exact_values_are_those_of_every_order_written_out(losses):
    expected = {player: float(by_all_orders(losses, player)) for player in max(losses, key=len)}
    assert values_of(losses) == expected


@some
@given(losses=games())
def test_val_1_the_values_add_up_to_the_worth_of_all(losses):
    players = max(losses, key=len)
    found = valuation(players).valued(Table.of(measured(losses)))
    worth = (sum(losses[NOBODY]) - sum(losses[players])) / (10 * len(losses[NOBODY]) * 1e6)
    assert found.worth == pytest.approx(worth)
    assert math.fsum(one.value for one in found.contributions.values()) == pytest.approx(
        worth, abs=1e-9
    )
    assert found.gap == pytest.approx(0, abs=1e-9)


@some
@given(losses=games(least=2))
def test_val_2_who_adds_the_same_is_worth_the_same(losses):
    swap = dict.fromkeys(max(losses, key=len)) | {"a": "b", "b": "a"}
    names = {player: other or player for player, other in swap.items()}
    alike = {one: min(losses[one], losses[frozenset(map(names.get, one))]) for one in losses}
    for name in CERTAIN:
        found = values_of(alike, valuations[name]())
        assert found["a"] == found["b"]


@methods
@some
@given(losses=games(least=2))
def test_val_3_who_changes_nothing_is_worth_nothing_at_all(name, losses):
    players = valuation(max(losses, key=len), valuations[name]())
    found = players.valued(Table.of(measured(without(losses, "b")))).contributions["b"]
    assert (found.value, found.lower or 0.0, found.upper or 0.0) == (0.0, 0.0, 0.0)


@some
@given(losses=games(), other=st.randoms(use_true_random=False))
def test_val_4_the_values_of_two_probes_add_up(losses, other):
    more = {one: tuple(other.randrange(10**7) for _ in sums) for one, sums in losses.items()}
    both = {one: tuple(map(sum, zip(losses[one], more[one], strict=True))) for one in losses}
    for name in CERTAIN:
        one, two, sum_of = (values_of(each, valuations[name]()) for each in (losses, more, both))
        assert sum_of == pytest.approx({p: one[p] + two[p] for p in one}, abs=1e-9)


@some
@given(losses=games(), more=st.randoms(use_true_random=False))
def test_val_5_who_adds_more_to_everybody_is_not_worth_less(losses, more):
    raised = {
        one: tuple(loss - more.randrange(1, 10**6) * ("a" in one) for loss in sums)
        for one, sums in losses.items()
    }
    for name in CERTAIN:
        method = valuations[name]()
        assert values_of(raised, method)["a"] > values_of(losses, method)["a"]


@some
@given(losses=games(), dice=st.randoms(use_true_random=False))
def test_val_7_other_names_permute_the_values(losses, dice):
    players = sorted(max(losses, key=len))
    names = dict(zip(players, dice.sample("tuvwxyz", len(players)), strict=True))
    for name in CERTAIN:
        method = valuations[name]()
        before, after = values_of(losses, method), values_of(exchanged(losses, names), method)
        assert after == {names[player]: value for player, value in before.items()}


@methods
@some
@given(losses=games(least=2), dice=st.randoms(use_true_random=False))
def test_no_order_matters_and_no_measurement_twice(name, losses, dice):
    players = list(max(losses, key=len))
    asked = valuation(players, valuations[name]())
    known = played(asked, losses)
    assert len({one.coalition for one in known}) == len(known)
    dice.shuffle(players)
    dice.shuffle(known)
    again = valuation(players, valuations[name]())
    assert again.valued(Table.of(known)) == asked.valued(Table.of(known))


@methods
@some
@given(losses=games(least=2), dice=st.randoms(use_true_random=False))
def test_it_goes_on_from_whatever_is_known(name, losses, dice):
    asked = valuation(max(losses, key=len), valuations[name]())
    whole = played(asked, losses)
    known = dice.sample(whole, dice.randrange(len(whole)))
    while wanted := asked.wanted(Table.of(known), None):
        known += measured({one: losses[one] for one in dice.sample(wanted, 1)})
    assert asked.valued(Table.of(known)) == asked.valued(Table.of(whole))


def test_as_many_measurements_as_promised():
    losses = losses_of("abcdef", lambda one: 0.1 * len(one))
    counts = {
        name: len(played(valuation("abcdef", valuations[name]()), losses)) for name in CERTAIN
    }
    assert counts == {
        "exact": 64,
        "leave_one_out": 8,
        "gradient_alignment": 7,
        "cgsv": 7,
    }


def test_too_many_players_for_an_exact_value_are_told_what_it_would_take():
    with pytest.raises(ValuationRefused, match="512 measurements") as refused:
        valuation("abcdefghi").wanted(Table.of([]), None)
    assert refused.value.code == "too_many_players"
    wanted = valuation("abcdefghi", valuations["exact"](most_players=9)).wanted(Table.of([]), None)
    assert len(wanted) == 512


def test_one_player_gets_it_all_and_two_alike_miss_nobody():
    """Two of whom one suffices, by hand: each is the first in half of the orders."""
    either = losses_of("ab", lambda one: 0.5 * bool(one))
    assert values_of(losses_of("a", lambda one: 0.5 * len(one))) == {"a": 0.5}
    assert values_of(either) == {"a": 0.25, "b": 0.25}
    assert values_of(either, valuations["leave_one_out"]()) == {"a": 0.0, "b": 0.0}


def test_gloves():
    """Shapley's example: a has a left glove, b and c a right one each; 4/6, 1/6, 1/6."""
    losses = losses_of("abc", lambda one: 0.6 * ("a" in one and len(one) > 1))
    assert values_of(losses) == pytest.approx({"a": 0.4, "b": 0.1, "c": 0.1})


@given(st.lists(st.floats(-1e3, 1e3), min_size=1), st.floats(0, 0.49))
def test_a_trimmed_mean_lies_among_what_is_left(values, trim):
    ordered, drop = sorted(values), int(trim * len(values))
    kept = ordered[drop : len(ordered) - drop]
    assert min(kept) - 1e-9 <= trimmed_mean(values, trim) <= max(kept) + 1e-9
    random.Random(0).shuffle(values)
    assert trimmed_mean(values, trim) == trimmed_mean(ordered, trim)
