"""The leading singular vectors of a large matrix, without all the others."""

from __future__ import annotations

from typing import TypeAlias

import torch
from torch import Tensor

Svd: TypeAlias = tuple[Tensor, Tensor, Tensor]

SMALL = 256  # rows or columns up to which the whole decomposition is as fast
SPARE = 16  # directions beyond those that are asked for
POWERS = 4  # times that small singular values are damped further
_SEED = 0


def leading_svd(matrix: Tensor, most: int) -> Svd:
    """Left vectors (out, most), singular values, and right vectors (most, in), best first.

    There are as many singular values as were found, at least `most`. Exact for small matrices. For
    larger ones a randomised range finder with power iterations (Halko, Martinsson and Tropp 2011,
    arXiv:0909.4061, Algorithms 4.4 and 5.1), whose numbers are drawn from a fixed seed: the same
    matrix gives the same bytes. What it finds is a projection of the matrix, so
    ‖matrix − u·s·v‖² = ‖matrix‖² − Σ s² holds as for the exact ones.
    """
    width = most + SPARE
    if min(matrix.shape) <= max(SMALL, 2 * width):
        u, singular, v = torch.linalg.svd(matrix, full_matrices=False)
    else:
        basis = _range(matrix, width)
        u, singular, v = torch.linalg.svd(basis.T @ matrix, full_matrices=False)
        u = basis @ u
    return u[:, :most], singular, v[:most]


def _range(matrix: Tensor, width: int) -> Tensor:
    """Orthonormal columns that span nearly what the leading left singular vectors span."""
    generator = torch.Generator().manual_seed(_SEED)
    drawn = torch.randn(matrix.shape[1], width, generator=generator, dtype=matrix.dtype)
    basis: Tensor = torch.linalg.qr(matrix @ drawn).Q
    for _ in range(POWERS):
        basis = torch.linalg.qr(matrix.T @ basis).Q
        basis = torch.linalg.qr(matrix @ basis).Q
    return basis
