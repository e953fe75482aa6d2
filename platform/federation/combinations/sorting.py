"""Sorting the updates of each value: a network over rows, each step one vector operation."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor


def sort_rows(rows: Tensor) -> Tensor:
    """Each column of `rows` sorted upwards, in place; for a few rows ten times `Tensor.sort`.

    A value that is not a number makes its column one.
    """
    spare = torch.empty_like(rows[0])
    for low, high in comparators(len(rows)):
        torch.minimum(rows[low], rows[high], out=spare)
        torch.maximum(rows[low], rows[high], out=rows[high])
        rows[low].copy_(spare)
    return rows


@cache
def comparators(count: int) -> tuple[tuple[int, int], ...]:
    """Batcher's merge exchange for any count: Knuth, The Art of Computer Programming, 5.2.2 M."""
    found: list[tuple[int, int]] = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    p = top
    while p > 0:
        q, r, d = top, 0, p
        while d > 0:
            found += [(i, i + d) for i in range(count - d) if i & p == r]
            d, q, r = q - p, q >> 1, p
        p >>= 1
    return tuple(found)
