from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.transforms import NormClip, transforms

norms = st.lists(st.floats(0, 1e6), min_size=1, max_size=9)


def test_it_is_registered():
    assert transforms["clip"] is NormClip


@given(norms=norms, bound=st.floats(1e-6, 1e6))
def test_nothing_is_longer_than_the_bound_afterwards(norms, bound):
    factors = NormClip(bound).factors(norms)
    assert all(n * f <= bound * (1 + 1e-12) for n, f in zip(norms, factors, strict=True))
    assert all(f == 1.0 for n, f in zip(norms, factors, strict=True) if n <= bound)


@given(norms=norms)
def test_without_a_bound_at_most_half_of_the_updates_are_clipped(norms):
    factors = NormClip().factors(norms)
    assert sum(factor < 1 for factor in factors) <= len(norms) / 2


def test_the_default_is_four_medians():
    assert NormClip().limit([1.0, 2.0, 100.0]) == 8.0
    assert NormClip().factors([1.0, 2.0, 100.0]) == [1.0, 1.0, 0.08]


def test_two_updates_make_no_median():
    assert NormClip().limit([1.0, 1000.0]) is None


def test_a_round_in_which_most_did_nothing_is_not_clipped_to_nothing():
    assert NormClip().factors([0.0, 0.0, 5.0]) == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("bound", [0.0, -1.0, float("nan")])
def test_a_bound_is_above_zero(bound):
    with pytest.raises(ValueError, match="bound"):
        NormClip(bound)
