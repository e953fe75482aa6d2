"""Singular values and vectors of a pair or a matrix, and what is cut by them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

from federation.pairs import Pair

Svd: TypeAlias = tuple[Tensor, Tensor, Tensor]

SMALL = 256  # rows or columns up to which the whole decomposition is as fast
SPARE = 16  # directions beyond those that are asked for
POWERS = 4  # times that small singular values are damped further
_SEED = 0


def core_svd(pair: Pair, most: int) -> Svd:
    """All singular values of pair.dense() above rounding, and the leading singular vectors.

    Returns u (out, up to most), the singular values, and v (up to most, in). Where v has more rows
    than there are singular values, these are further orthonormal directions.
    """
    left, left_core = torch.linalg.qr(pair.b)
    right, right_core = torch.linalg.qr(pair.a.T)
    u, singular, v = torch.linalg.svd(left_core @ right_core.T)
    noise = singular[:1] * max(pair.size) * torch.finfo(singular.dtype).eps
    values = singular[singular > noise]
    return left @ u[:, : min(most, len(values))], values, v[:most] @ right.T


@dataclass(frozen=True, slots=True)
class Cut:
    """The best approximation of a pair, `rank` components in use, and the squares that it lacks."""

    pair: Pair
    rank: int
    discarded_square: float


def cut(pair: Pair, room: int) -> Cut:
    """The leading components of a pair, in a pair of exactly `room` of them, zeros where fewer are.

    The singular values are split evenly over the factors.
    """
    high, wide = pair.size
    b, a = pair.b.new_zeros(high, room), pair.a.new_zeros(room, wide)
    if pair.rank == 0:
        return Cut(Pair(b, a), 0, 0.0)
    u, singular, v = core_svd(pair, room)
    used, root = min(room, len(singular)), singular[:room].sqrt()
    b[:, :used], a[:used] = u[:, :used] * root, v[:used] * root[:, None]
    return Cut(Pair(b, a), used, float(singular[room:].square().sum()))


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
