"""The leading singular vectors of matrices too large for all of them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from federation.registry import configured
from federation.strategies import strategies
from federation.strategies.truncated import SMALL, leading_svd
from tests.federation.reference import truncated
from tests.strategies import normal, random_pair, seeded

SIZE = SMALL + 60
RANK = 8


def matrix(seed: int, noise: float = 0.01) -> Tensor:
    """Twelve directions of falling strength, and noise in all others."""
    generator = seeded(seed)
    pair = random_pair(generator, SIZE + 40, SIZE, 12)
    strengths = 0.7 ** torch.arange(12, dtype=torch.float64)
    return (pair.b * strengths) @ pair.a + noise * normal(generator, SIZE + 40, SIZE)


def test_small_matrices_are_exact():
    whole = normal(seeded(1), SMALL, 40)
    u, singular, v = leading_svd(whole, RANK)
    torch.testing.assert_close(singular, torch.linalg.svdvals(whole))
    assert u.shape == (SMALL, RANK)
    torch.testing.assert_close((u * singular[:RANK]) @ v, truncated(whole, RANK))


@pytest.mark.parametrize("noise", [0.0, 0.01, 0.3])
def test_large_matrices_are_cut_nearly_as_well_as_can_be(noise):
    whole = matrix(2, noise)
    u, singular, v = leading_svd(whole, RANK)
    error = float((whole - (u * singular[:RANK]) @ v).norm())
    best = float((whole - truncated(whole, RANK)).norm())
    assert best * (1 - 1e-9) <= error <= best * (1 + 1e-4)
    torch.testing.assert_close(u.T @ u, torch.eye(RANK, dtype=torch.float64))
    torch.testing.assert_close(v @ v.T, torch.eye(RANK, dtype=torch.float64))


def test_the_same_matrix_gives_the_same_bytes():
    whole = matrix(3)
    torch.manual_seed(5)
    first = leading_svd(whole, RANK)
    torch.manual_seed(6)
    assert all(map(torch.equal, first, leading_svd(whole, RANK)))


@pytest.mark.parametrize("energy", [1.0, 0.5])
def test_what_was_lost_is_reported_right(energy):
    start = random_pair(seeded(4), SIZE + 40, SIZE, RANK)
    change = matrix(5)
    combined = configured(strategies, "stack_svd", energy=energy).approximate(start, change, RANK)  # type: ignore[attr-defined]
    whole = start.dense() + change
    lost = float((whole - combined.pair.dense()).square().sum())
    assert combined.error_square == pytest.approx(lost, rel=1e-9)
    assert combined.discarded_square == combined.error_square
    assert combined.ideal_square == pytest.approx(float(whole.square().sum()))
    assert (combined.rank == RANK) == (energy == 1.0)
    assert 1 - combined.discarded_square / combined.ideal_square >= 0.5
