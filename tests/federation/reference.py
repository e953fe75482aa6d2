"""The slow and obvious reference: everything dense, nothing clever."""

from __future__ import annotations

import torch
from torch import Tensor

from tests.strategies import Round


def dense_change(case: Round) -> Tensor:
    """start + Σ wᵢ (updateᵢ − start cut to the rank of the update), as a matrix."""
    result = case.start.b @ case.start.a
    for weight, pair in case.updates:
        r = pair.rank
        result = result + weight * (pair.b @ pair.a - case.start.b[:, :r] @ case.start.a[:r])
    return result


def truncated(matrix: Tensor, rank: int) -> Tensor:
    """The best approximation of this rank: Eckart and Young 1936."""
    u, singular, v = torch.linalg.svd(matrix, full_matrices=False)
    return (u[:, :rank] * singular[:rank]) @ v[:rank]


def distance(left: Tensor, right: Tensor) -> float:
    """The Frobenius distance relative to the second."""
    return float((left - right).norm() / right.norm().clamp_min(1e-300))
