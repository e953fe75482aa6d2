"""Evidence of changes that are given as rows of a matrix, for tests of rules."""

from __future__ import annotations

import torch
from torch import Tensor

from federation.rules import Evidence, Weights


def evidence_of(changes: Tensor, root: int | None = None) -> Evidence:
    products = (changes @ changes.T).tolist()
    digests = tuple(f"{place:064x}" for place in range(len(changes)))
    return Evidence(digests, tuple(map(tuple, products)), root)


def equal(count: int) -> list[float]:
    return [1 / count] * count


def applied(weights: Weights, changes: Tensor) -> Tensor:
    """Σ shareᵢ · factorᵢ · Δᵢ."""
    return torch.tensor(weights.products, dtype=torch.float64) @ changes


def constants(*values: float) -> Tensor:
    """Changes whose values are all the same, as published vectors are given."""
    return torch.tensor(values, dtype=torch.float64)[:, None].expand(-1, 4).contiguous()
