"""Combinations: laws of every registered one, published vectors, and slow references."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from federation.breakdown import COMBINATIONS
from federation.combinations import combinations
from federation.combinations.near_median import nearest
from federation.combinations.sorting import comparators, sort_rows
from federation.registry import configured
from tests.federation.evidences import constants
from tests.strategies import normal, seeded

ALL = sorted(combinations)
GUARDING = [name for name in ALL if COMBINATIONS[name].each]


def combined(name: str, changes: Tensor, **settings: int) -> Tensor:
    shares = torch.full((len(changes),), 1 / len(changes), dtype=torch.float64)
    return configured(combinations, name, **settings).combine(changes.clone(), shares)


def test_what_each_survives_is_written_down():
    assert set(COMBINATIONS) == set(combinations)


# Published vectors: METHODS.md section 4.


def test_the_median_of_the_published_vector():
    changes = torch.tensor(
        [[1, 0.2, 0.5, 1], [0.2, 0.5, 1, 0.2], [0.5, 1, 0.2, 0.5]], dtype=torch.float64
    )
    torch.testing.assert_close(combined("median", changes), constants(0.5)[0])


def test_the_trimmed_mean_of_the_published_vector():
    found = combined("trimmed_mean", constants(0.5, 1, 2, 100), liars=1)
    torch.testing.assert_close(found, constants(1.5)[0])


def test_bulyans_second_stage_of_the_published_vector():
    """Two of {1, 2, 0.5} nearest to 1; published with β = 2, which one half of a liar would be."""
    changes = constants(0.5, 1, 2)
    torch.testing.assert_close(nearest(changes, 2).mean(0), constants(0.75)[0])


# Laws.


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_the_order_of_updates_does_not_matter(name, seed, count):
    changes = normal(seeded(seed), count, 9)
    order = torch.randperm(count, generator=seeded(seed))
    torch.testing.assert_close(combined(name, changes[order]), combined(name, changes))


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9), by=st.floats(-5, 5))
def test_moved_and_scaled_changes_give_a_moved_and_scaled_result(name, seed, count, by):
    changes = normal(seeded(seed), count, 9)
    torch.testing.assert_close(combined(name, 3 * changes + by), 3 * combined(name, changes) + by)


@pytest.mark.parametrize("name", ALL)
def test_equal_updates_are_the_result(name):
    changes = normal(seeded(1), 1, 9).expand(7, -1)
    torch.testing.assert_close(combined(name, changes), changes[0])


@pytest.mark.parametrize("name", GUARDING)
@given(
    seed=st.integers(0, 2**32 - 1),
    liars=st.integers(1, 3),
    size=st.sampled_from([0.0, 1e3, -1e9, 1e300]),
)
def test_lies_within_the_breakdown_point_stay_between_the_honest(name, seed, liars, size):
    honest = normal(seeded(seed), COMBINATIONS[name].fewest(liars) - liars, 9)
    lies = torch.full((liars, 9), size, dtype=torch.float64)
    found = combined(name, torch.cat([lies, honest]), liars=liars)
    assert bool((found >= honest.min(0).values - 1e-12).all())
    assert bool((found <= honest.max(0).values + 1e-12).all())


@pytest.mark.parametrize(("name", "lies"), [("mean", 1), ("median", 5), ("trimmed_mean", 3)])
def test_one_lie_more_than_it_survives_ruins_it(name, lies):
    assert COMBINATIONS[name].survives(9, 2) == lies - 1
    changes = torch.cat([constants(*[1e9] * lies), constants(*[1.0] * (9 - lies))])
    assert float(combined(name, changes, liars=2).max()) > 1e6


@pytest.mark.parametrize("name", ALL)
def test_what_is_no_number_does_not_pass(name):
    changes = normal(seeded(1), 5, 4)
    changes[2, 1] = float("nan")
    assert not bool(combined(name, changes)[1].isfinite())


# Slow and obvious references.


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 12))
def test_the_median_is_that_of_each_value(seed, count):
    changes = normal(seeded(seed), count, 9)
    torch.testing.assert_close(combined("median", changes), changes.quantile(0.5, dim=0))


@given(seed=st.integers(0, 2**32 - 1), liars=st.integers(1, 4), more=st.integers(1, 6))
def test_the_trimmed_mean_drops_so_many_at_each_end(seed, liars, more):
    changes = normal(seeded(seed), 2 * liars + more, 9)
    expected = [sorted(column)[liars:-liars] for column in changes.T.tolist()]
    found = combined("trimmed_mean", changes, liars=liars).tolist()
    assert found == pytest.approx([sum(kept) / len(kept) for kept in expected])


@given(seed=st.integers(0, 2**32 - 1), liars=st.integers(1, 4), more=st.integers(1, 6))
def test_near_the_median_are_those_with_the_least_distance(seed, liars, more):
    changes = normal(seeded(seed), 2 * liars + more, 9)
    middle = changes.quantile(0.5, dim=0)
    # Sorted distances; a draw between the two around the middle of an even number goes low.
    order = ((changes - middle).abs().round(decimals=12) + 1e-13 * changes).argsort(dim=0)[:more]
    expected = changes.gather(0, order).mean(0)
    torch.testing.assert_close(combined("near_median", changes, liars=liars), expected)


@pytest.mark.parametrize("count", range(1, 40))
def test_the_network_sorts_any_number_of_rows(count):
    rows = normal(seeded(count), count, 60)
    torch.testing.assert_close(sort_rows(rows.clone()), rows.sort(dim=0).values, rtol=0, atol=0)
    assert all(low < high < count for low, high in comparators(count))


@pytest.mark.parametrize("count", range(1, 13))
def test_a_network_that_sorts_all_zeros_and_ones_sorts_everything(count):
    """The 0-1 principle: Knuth, The Art of Computer Programming, 5.3.4 Z."""
    columns = torch.arange(2**count)
    rows = torch.stack([(columns >> bit & 1).double() for bit in range(count)])
    found = sort_rows(rows)
    assert bool((found.diff(dim=0) >= 0).all())
