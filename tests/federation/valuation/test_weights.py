"""What updates weigh in the game of their round."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from federation.valuation.weights import FAR, fixed_weights

norms = st.floats(0.01, 100)
usual = st.lists(norms, min_size=3, max_size=9)


def test_updates_as_long_as_each_other_weigh_their_shares():
    assert fixed_weights([1, 3], [2.0, 2.0]) == [0.25, 0.75]
    assert fixed_weights([1, 1, 2], [2.0] * 3) == [0.25, 0.25, 0.5]


@pytest.mark.parametrize("unknown", [[None] * 3, [0.0, 0.0, 5.0], [1.0, 9.0, None]])
def test_where_no_norm_is_usual_the_shares_stay(unknown: list[float | None]):
    assert fixed_weights([1, 1, 2], unknown) == [0.25, 0.25, 0.5]


@given(usual)
def test_no_update_moves_a_coalition_further_than_the_median_would(lengths: list[float]):
    middle = sorted(lengths)[len(lengths) // 2]
    weights = fixed_weights([1.0] * len(lengths), list(lengths))
    moved = [weight * length for weight, length in zip(weights, lengths, strict=True)]
    assert max(moved) <= middle / len(lengths) * (1 + 1e-9)


@given(st.floats(1.0, 50.0), st.floats(1.0, 50.0))
def test_whoever_goes_further_beyond_the_median_moves_it_no_further(one: float, other: float):
    near, far = sorted((one, other))
    moved = [fixed_weights([1] * 3, [1.0, 1.0, times])[2] * times for times in (near, far)]
    assert moved[1] <= moved[0] * (1 + 1e-9)
    if near > FAR < far and far > near * (1 + 1e-6):
        assert moved[1] < moved[0]


@given(usual, st.floats(0.1, 10))
def test_only_how_lengths_compare_counts(lengths: list[float], scale: float):
    counts = [1.0 + place for place in range(len(lengths))]
    scaled = fixed_weights(counts, [length * scale for length in lengths])
    assert scaled == pytest.approx(fixed_weights(counts, list(lengths)))
