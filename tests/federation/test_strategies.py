"""Laws of every registered strategy, on one module in float64. Ids are those of METHODS 2.5."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from federation.combinations import combinations
from federation.pairs import Pair, norm
from federation.registry import UnknownName, configured
from federation.strategies import ChangeStrategy, Combined, Member, strategies
from federation.strategies.base import error_of, ideal
from federation.strategies.stack_svd import core_svd
from federation.terms import TERMS
from tests.federation.reference import dense_change, distance, truncated
from tests.strategies import Round, moved, random_pair, regauged, rounds, seeded

# What averages factors is not exact and says so; whatever else is registered has to be.
ALL = sorted(strategies)
FACTOR_WISE = {name for name in ALL if configured(strategies, name).averages_factors}
EXACT = sorted(set(strategies) - FACTOR_WISE)


def combine(name: str, case: Round, rank: int | None = None, **settings: float) -> Combined:
    strategy = configured(strategies, name, **settings)
    if isinstance(strategy, ChangeStrategy):
        return strategy.combine(case.start, members(case), rank or case.width)
    pair = Pair(mean(case, lambda p: p.b), mean(case, lambda p: p.a))
    total, error = error_of(pair, ideal(case.start, members(case)))
    return Combined(pair, pair.rank, total, error, 0.0)


def mean(case: Round, factor: Callable[[Pair], Tensor]) -> Tensor:
    """One factor as the engine averages it: like any tensor."""
    start = factor(case.start)
    changes = torch.stack([(factor(pair) - start).flatten() for _, pair in case.updates])
    shares = torch.tensor([weight for weight, _ in case.updates], dtype=torch.float64)
    return start + combinations["mean"]().combine(changes, shares).reshape(start.shape)


def members(case: Round) -> list[Member]:
    return [Member(weight, pair) for weight, pair in case.updates]


def having_weight(case: Round, weights: list[float]) -> Round:
    return case.having(list(zip(weights, [pair for _, pair in case.updates], strict=True)))


@pytest.mark.parametrize("name", EXACT)
@given(data=st.data())
def test_agg_1_the_result_is_the_mean_of_the_changes(name, data):
    case = data.draw(rounds(equal_ranks=not TERMS[name].mixes_ranks))
    combined = combine(name, case)
    assert distance(combined.whole.dense(), dense_change(case)) < 1e-12
    assert combined.error_square <= 1e-24 * combined.ideal_square


@pytest.mark.parametrize("name", EXACT)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_agg_2_other_factors_of_the_same_changes_change_nothing(name, data, seed):
    case = data.draw(rounds(equal_ranks=not TERMS[name].mixes_ranks))
    other = case.having([(w, regauged(seeded(seed), pair)) for w, pair in case.updates])
    assert distance(combine(name, other).whole.dense(), combine(name, case).whole.dense()) < 1e-9


def test_averaging_factors_is_broken_by_one_participation_that_rescales_them():
    generator = seeded(1)
    start = random_pair(generator, 32, 32, 4)
    pairs = [moved(generator, start) for _ in range(8)]
    honest = Round(start, [(1 / 8, pair) for pair in pairs])
    rescaled = Pair(pairs[0].b * 50, pairs[0].a / 50)
    attacked = honest.having([(1 / 8, rescaled), *honest.updates[1:]])

    assert distance(dense_change(attacked), dense_change(honest)) < 1e-12
    factors = combine("fedavg", attacked).pair.dense()
    assert distance(factors, combine("fedavg", honest).pair.dense()) > 1
    exact = combine("stack_svd", attacked).pair.dense()
    assert distance(exact, dense_change(honest)) < 1e-12


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True, min_size=2), rng=st.randoms(use_true_random=False))
def test_agg_3_the_order_of_updates_does_not_matter(name, case, rng):
    shuffled = case.having(rng.sample(case.updates, len(case.updates)))
    assert (
        distance(combine(name, shuffled).whole.dense(), combine(name, case).whole.dense()) < 1e-12
    )


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True))
def test_agg_3_one_update_sent_as_two_halves_counts_the_same(name, case):
    (weight, pair), *others = case.updates
    halved = case.having([(weight / 2, pair), (weight / 2, pair), *others])
    assert distance(combine(name, halved).whole.dense(), combine(name, case).whole.dense()) < 1e-12


@given(case=rounds())
def test_agg_5_the_core_has_the_singular_values_of_the_dense_matrix(case):
    change = dense_change(case)
    _, singular, _ = core_svd(combine("stack_svd", case).pair, case.width)
    expected = torch.linalg.svdvals(change)
    padded = torch.zeros_like(expected)
    padded[: len(singular)] = singular[: len(expected)]
    torch.testing.assert_close(padded, expected, rtol=0, atol=1e-10 * float(expected[0]))


@given(case=rounds(), rank=st.integers(1, 6))
def test_agg_5_a_cut_is_the_best_approximation_of_its_rank(case, rank):
    change = dense_change(case)
    combined = combine("stack_svd", case, rank)
    best = truncated(change, rank)
    assert abs(distance(combined.pair.dense(), change) - distance(best, change)) < 1e-10
    assert combined.error_square == pytest.approx(
        float((change - best).square().sum()), rel=1e-8, abs=1e-20 * combined.ideal_square
    )


@given(case=rounds(), energy=st.floats(0.05, 0.999))
def test_agg_5_energy_keeps_as_few_components_as_hold_it(case, energy):
    combined = combine("stack_svd", case, energy=energy)
    squares = torch.linalg.svdvals(dense_change(case)).square()
    held = squares.cumsum(0) / squares.sum()
    assert held[combined.rank - 1] >= energy - 1e-12
    assert combined.rank == 1 or held[combined.rank - 2] < energy + 1e-12


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True))
def test_agg_6_no_method_comes_closer_than_the_singular_values_allow(name, case):
    change, rank = dense_change(case), case.start.rank
    closest = distance(truncated(change, rank), change)
    assert distance(combine(name, case, rank).pair.dense(), change) >= closest - 1e-12
    best = distance(combine("stack_svd", case, rank).pair.dense(), change)
    assert best == pytest.approx(closest, abs=1e-10)


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True, max_size=1))
def test_agg_8_one_update_alone_is_the_result(name, case):
    ((_, pair),) = case.updates
    combined = combine(name, having_weight(case, [1.0]))
    assert distance(combined.whole.dense(), pair.dense()) < 1e-12


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True, min_size=2))
def test_agg_8_equal_updates_are_the_result(name, case):
    pair = case.updates[0][1]
    same = case.having([(weight, pair) for weight, _ in case.updates])
    assert distance(combine(name, same).whole.dense(), pair.dense()) < 1e-12


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True, min_size=2))
def test_agg_8_a_weight_of_zero_removes_an_update(name, case):
    weights = [0.0, *(weight for weight, _ in case.updates[1:])]
    without = case.having(case.updates[1:])
    assert (
        distance(
            combine(name, having_weight(case, weights)).whole.dense(),
            combine(name, without).whole.dense(),
        )
        < 1e-12
    )


@pytest.mark.parametrize("name", ALL)
@given(case=rounds(equal_ranks=True))
def test_an_update_that_did_not_move_leaves_the_start(name, case):
    still = case.having([(weight, case.start) for weight, _ in case.updates])
    assert distance(combine(name, still).whole.dense(), case.start.dense()) < 1e-12


@pytest.mark.parametrize("name", sorted(name for name in EXACT if TERMS[name].mixes_ranks))
@given(case=rounds())
def test_what_nobody_trained_stays(name, case):
    """Updates of rank 1 that did not move: all components of the start are there afterwards."""
    narrow = case.having([(weight, case.start.leading(1)) for weight, _ in case.updates])
    assert distance(combine(name, narrow).whole.dense(), case.start.dense()) < 1e-12


@given(case=rounds(equal_ranks=True, min_size=2))
def test_averaging_factors_reports_how_wrong_it_is(case):
    """The error is Σ pᵢ (Bᵢ − B̄)(Aᵢ − Ā) (Singhal et al. 2024, arXiv:2410.09432)."""
    combined = combine("fedavg", case)
    mean = combined.pair
    residual = sum(w * (pair.b - mean.b) @ (pair.a - mean.a) for w, pair in case.updates)
    expected = float(residual.square().sum())
    assert combined.error_square == pytest.approx(expected, abs=1e-13 * combined.ideal_square)
    assert combined.ideal_square == pytest.approx(float(dense_change(case).square().sum()))


def test_a_component_without_a_singular_value_can_still_be_trained():
    generator = seeded(4)
    start = Pair(torch.zeros(8, 4).double(), random_pair(generator, 8, 10, 4).a)
    narrow = moved(generator, start.leading(1))
    combined = combine("stack_svd", Round(start, [(1.0, narrow)]), 4)

    assert combined.rank == 1
    assert not combined.pair.b[:, 1:].any()
    spare = combined.pair.a[1:]
    usual = float(start.a.square().sum()) / 4  # mean square of the lengths of the start's rows
    torch.testing.assert_close(spare @ spare.T, usual * torch.eye(3).double())
    torch.testing.assert_close(spare @ combined.pair.a[0], torch.zeros(3).double())


@given(case=rounds(), more=st.integers(0, 3))
def test_a_result_has_the_rank_it_was_asked_for(case, more):
    combined = combine("stack_svd", case, case.width + more)
    assert combined.pair.rank == case.width + more
    assert not combined.pair.b[:, combined.rank :].any()
    assert combined.pair.size == case.start.size


@given(case=rounds())
def test_both_factors_are_equally_long(case):
    combined = combine("stack_svd", case)
    used = combined.pair.leading(combined.rank)
    torch.testing.assert_close(used.b.norm(dim=0), used.a.norm(dim=1))
    lengths = used.b.norm(dim=0)
    assert (lengths.diff() <= 1e-9).all(), "components are sorted by what they do"


def test_a_hand_computed_round():
    """(1/4)·[[4, 0], [0, 0]] + (3/4)·[[0, 0], [0, 4]] = [[1, 0], [0, 3]]."""
    nothing = Pair(torch.zeros(2, 1).double(), torch.tensor([[1.0, 1.0]]).double())
    left = Pair(torch.tensor([[4.0], [0.0]]).double(), torch.tensor([[1.0, 0.0]]).double())
    right = Pair(torch.tensor([[0.0], [1.0]]).double(), torch.tensor([[0.0, 4.0]]).double())
    combined = combine("stack_svd", Round(nothing, [(0.25, left), (0.75, right)]), 1)
    expected = torch.tensor([[0.0, 0.0], [0.0, 3.0]]).double()
    torch.testing.assert_close(combined.pair.dense(), expected)
    assert combined.ideal_square == pytest.approx(10)
    assert combined.error_square == pytest.approx(1)


def test_many_updates_of_a_small_module_stay_exact():
    """The stack is folded when it is wider than the module; 40 × 4 columns for 6 × 9."""
    generator = seeded(3)
    start = random_pair(generator, 6, 9, 4)
    case = Round(start, [(1 / 40, moved(generator, start.leading(1 + i % 4))) for i in range(40)])
    assert distance(combine("stack_svd", case, 9).pair.dense(), dense_change(case)) < 1e-12


@pytest.mark.parametrize("name", ALL)
def test_a_round_that_did_nothing_to_nothing_is_no_error(name):
    start = Pair(torch.zeros(4, 2).double(), random_pair(seeded(0), 4, 5, 2).a)
    combined = combine(name, Round(start, [(1.0, start)]), 2, energy=0.9)
    assert norm(combined.pair) == 0
    assert combined.ideal_square == combined.error_square == 0


@pytest.mark.parametrize("energy", [0.0, -1.0, 1.5, float("nan")])
def test_energy_is_a_share(energy):
    with pytest.raises(ValueError, match="energy"):
        configured(strategies, "stack_svd", energy=energy)


def test_an_unknown_strategy_lists_the_known():
    with pytest.raises(UnknownName, match=f"unknown strategy 'mean'; known: {', '.join(ALL)}"):
        configured(strategies, "mean")
