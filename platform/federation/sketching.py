"""Changes of the model in a few hundred numbers each, from which their inner products are known.

The inner product of two sketches is that of the changes on average, over all ways to draw them,
and is off by about ‖X‖·‖Y‖·√((1 + cos²)/size). What matters here lies near a cosine of one, where
the error of the estimated cosine shrinks with 1 − cos². A sketch is linear: that of a weighted sum
of changes is the sum of theirs.

Values are added up in random places with random signs (Charikar et al. 2002). A matrix B·A is never
built: with a place for each row and each column, the value in (i, j) belongs to the sum of the two,
so that the sketch is the convolution of those of B's columns and A's rows (Pham & Pagh 2013). What
is drawn follows from a seed that only the hub knows: who knew it could make two changes look alike,
or apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from hashlib import sha256
from math import ceil
from pathlib import Path
from typing import Self

import torch
from torch import Tensor
from torch.fft import irfft, rfft

from federation.cohort import Cohort, WeightedUpdate, open_cohort
from federation.cores import in_order
from federation.layout import Chosen, everything
from federation.reading import (
    Module,
    Piece,
    changes_of,
    check_finite,
    members_of,
    parts_of,
    read_pair,
)

SIZE = 1024  # numbers; a cosine of 0.995 is known to ± 0.0005, one of 0 to ± 0.03
PIECE = 1 << 16  # values that are drawn for at once, whatever the number of updates


def sketches_of(
    *,
    start: Path,
    updates: Sequence[WeightedUpdate],
    scale: float,
    seed: str,
    travels: Chosen = everything,
) -> dict[str, list[float]]:
    """By digest, the sketch of what each update does to the model; the same for the same seed.

    Each file is read once. Raises AggregationRefused where an update does not fit `start` or holds
    NaN or infinity.
    """
    with ExitStack() as files:
        cohort = open_cohort(files, start, updates, travels)

        def sketched(part: Module | Piece) -> Tensor:
            if isinstance(part, Module):
                found = scale * _of_module(cohort, part, seed)
            else:
                found = _of_piece(cohort, part, seed)
            if not bool(found.isfinite().all()):
                check_finite(cohort, part)
            return found

        total = torch.zeros(len(cohort.files), SIZE, dtype=torch.float64)
        for found in in_order(sketched, parts_of(cohort, values=PIECE)):
            total += found
        return dict(zip(cohort.digests, total.tolist(), strict=True))


def _of_module(cohort: Cohort, module: Module, seed: str) -> Tensor:
    """Of shape (updates, SIZE)."""
    start = read_pair(cohort.start, module.name)
    members = members_of(cohort, module.name, (1.0,) * len(cohort.files))
    draw = _generator(seed, module.name)
    rows, columns = (_Scatter.drawn(count, draw) for count in start.size)
    changes = (member.change(start) for member in members)
    waves = [(rfft(rows.of(one.b.T)) * rfft(columns.of(one.a))).sum(0) for one in changes]
    found: Tensor = irfft(torch.stack(waves), SIZE)
    return found


def _of_piece(cohort: Cohort, piece: Piece, seed: str) -> Tensor:
    """Of shape (updates, SIZE)."""
    changes = changes_of(cohort, piece, (1.0,) * len(cohort.files))
    draw = _generator(seed, f"{piece.name}/{piece.first}")
    return _Scatter.drawn(changes.shape[1], draw).of(changes)


@dataclass(frozen=True, slots=True)
class _Scatter:
    """A place and a sign for each of so many values."""

    places: Tensor
    signs: Tensor

    @classmethod
    def drawn(cls, count: int, draw: torch.Generator) -> Self:
        """No two of SIZE values in a row share a place: few large ones never fall together."""
        orders = [torch.randperm(SIZE, generator=draw) for _ in range(ceil(count / SIZE))]
        signs = torch.randint(2, (count,), generator=draw).double() * 2 - 1
        return cls(torch.cat(orders)[:count], signs)

    def of(self, values: Tensor) -> Tensor:
        """Each row of values added up in its places, of shape (rows, SIZE)."""
        found = torch.zeros(len(values), SIZE, dtype=torch.float64)
        return found.index_add_(1, self.places, values * self.signs)


def _generator(seed: str, name: str) -> torch.Generator:
    drawn = sha256(f"{seed}/{name}".encode()).digest()[:8]
    return torch.Generator().manual_seed(int.from_bytes(drawn, "big") >> 1)
