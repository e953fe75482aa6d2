"""The algebra of factor pairs against dense matrices."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from federation.pairs import Pair, Stack, beside, change, inner, norm, remainder, squares
from tests.federation.reference import distance
from tests.strategies import moved, random_pair, regauged, rounds, seeded


@given(case=rounds(min_size=2))
def test_agg_12_inner_products_need_no_dense_matrix(case):
    (_, left), (_, right), *_ = case.updates
    expected = float((left.dense() * right.dense()).sum())
    assert inner(left, right) == pytest.approx(expected, rel=1e-10, abs=1e-10)
    assert norm(left) == pytest.approx(float(left.dense().norm()), rel=1e-10)


@given(case=rounds(), seed=st.integers(0, 2**32 - 1))
def test_a_norm_does_not_depend_on_the_factors(case, seed):
    _, pair = case.updates[0]
    assert norm(regauged(seeded(seed), pair)) == pytest.approx(norm(pair), rel=1e-9)


@given(case=rounds())
def test_pairs_set_beside_each_other_add_up(case):
    pairs = [pair for _, pair in case.updates]
    expected = sum(pair.dense() for pair in pairs)
    torch.testing.assert_close(beside(*pairs).dense(), expected)


@given(case=rounds())
def test_squares_are_those_of_the_weighted_components(case):
    coefficients = torch.linspace(-1, 2, case.start.rank, dtype=torch.float64)
    scaled = Pair(case.start.b * coefficients, case.start.a)
    (found,) = squares(case.start, coefficients)
    assert found == pytest.approx(float(scaled.dense().square().sum()), rel=1e-10, abs=1e-12)


@given(case=rounds())
def test_a_change_is_the_difference(case):
    _, pair = case.updates[0]
    start = case.start.leading(pair.rank)
    torch.testing.assert_close(change(start, pair).dense(), pair.dense() - start.dense())


def test_a_change_stays_accurate_however_small_it_is():
    generator = seeded(0)
    start = random_pair(generator, 50, 40, 4)
    step = random_pair(generator, 50, 40, 4)
    exact = norm(beside(Pair(step.b, start.a), Pair(start.b, step.a)))  # to the first order
    tiny = Pair(start.b + 1e-9 * step.b, start.a + 1e-9 * step.a)
    assert norm(change(start, tiny)) == pytest.approx(1e-9 * exact, rel=1e-6)
    assert norm(change(start, start)) == 0.0


@given(case=rounds(), rounds_of_it=st.integers(1, 12))
def test_a_stack_is_exact_and_never_wider_than_twice_the_module(case, rounds_of_it):
    stack = Stack(case.start.size)
    expected = torch.zeros(case.start.size, dtype=torch.float64)
    for weight, pair in case.updates * rounds_of_it:
        stack.add(pair, weight)
        expected += weight * pair.dense()
        assert stack.rank <= 2 * min(case.start.size)
    assert distance(stack.pair().dense(), expected) < 1e-12


def test_what_is_left_of_a_component_is_exactly_nothing_when_all_of_it_was_taken():
    sevenths = [(2, 1 / 7)] * 7
    assert remainder(3, sevenths).tolist() == [0.0, 0.0, 1.0]


def test_leading_components_nest():
    pair = moved(seeded(5), random_pair(seeded(6), 7, 8, 5))
    once, twice = pair.leading(2), pair.leading(4).leading(2)
    assert torch.equal(once.a, twice.a)
    assert torch.equal(once.b, twice.b)
