"""The evidence of a round: inner products of all changes, in one pass over the updates.

For LoRA pairs they come from products of factors, ⟨BA, DC⟩ = tr((BᵀD)(CAᵀ)), and no matrix of the
module's size is built unless all pairs together are larger than that.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from federation.cohort import Cohort
from federation.cores import in_order
from federation.pairs import Pair, beside
from federation.reading import (
    Module,
    Piece,
    changes_of,
    check_finite,
    members_of,
    parts_of,
    read_pair,
    values_beside,
)
from federation.rules import Evidence

DENSE_VALUES = 1 << 22  # of all updates together, where rows of their matrices lie side by side


def measure(cohort: Cohort, scale: float) -> Evidence:
    """Inner products of what the updates do to the model; `scale` is the LoRA scale.

    Raises AggregationRefused("non_finite") with the digest.
    """
    count = len(cohort.files)

    def products(part: Module | Piece) -> Tensor:
        if isinstance(part, Piece):
            changes = changes_of(cohort, part, (1.0,) * count)
            found = changes @ changes.T
        else:
            found = scale**2 * _products(cohort, part)
        if not bool(found.isfinite().all()):
            check_finite(cohort, part)
        return found

    total = torch.zeros(count, count, dtype=torch.float64)
    for found in in_order(products, parts_of(cohort, values=values_beside(count))):
        total += found
    return Evidence(cohort.digests, tuple(map(tuple, total.tolist())), cohort.root)


def dense_rows(
    cohort: Cohort, module: Module, factors: tuple[float, ...]
) -> Iterator[tuple[slice, Tensor]]:
    """How each update moved some rows of a module's matrix: (updates, rows · in), without scale."""
    changes = _changes(cohort, module)
    high, wide = changes[0].size
    rows = max(1, DENSE_VALUES // (len(changes) * wide))
    for first in range(0, high, rows):
        part = slice(first, min(first + rows, high))
        dense = [f * (c.b[part] @ c.a).flatten() for f, c in zip(factors, changes, strict=True)]
        yield part, torch.stack(dense)


def _products(cohort: Cohort, module: Module) -> Tensor:
    changes = _changes(cohort, module)
    high, wide = changes[0].size
    widths = torch.tensor([change.rank for change in changes])
    if int(widths.sum()) ** 2 > high * wide:
        return _dense_products(cohort, module)
    both = beside(*changes)
    products = (both.b.T @ both.b) * (both.a @ both.a.T)
    owners = torch.arange(len(changes)).repeat_interleave(widths)
    found = torch.zeros(len(changes), len(products), dtype=torch.float64)
    found.index_add_(0, owners, products)
    return torch.zeros(len(changes), len(changes), dtype=torch.float64).index_add_(1, owners, found)


def _dense_products(cohort: Cohort, module: Module) -> Tensor:
    count = len(cohort.files)
    total = torch.zeros(count, count, dtype=torch.float64)
    for _, dense in dense_rows(cohort, module, (1.0,) * count):
        total += dense @ dense.T
    return total


def _changes(cohort: Cohort, module: Module) -> list[Pair]:
    start = read_pair(cohort.start, module.name)
    members = members_of(cohort, module.name, (1.0,) * len(cohort.files))
    return [member.change(start) for member in members]
