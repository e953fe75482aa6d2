"""What is read of a round at a time: a module's pairs, or a piece of a plain tensor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite, prod

import torch
from torch import Tensor

from federation.cohort import Cohort
from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    R_SUFFIX,
    RESIDUAL_A,
    RESIDUAL_B,
    is_residual,
    lora_factor,
)
from federation.pairs import Pair
from federation.sources import Source
from federation.strategies import AggregationRefused, Member
from federation.tensors import BLOCK_VALUES, norm_of

BESIDE_VALUES = 1 << 19  # of all updates together, where their changes lie side by side
_GRAIN = 1 << 10  # pieces begin at multiples of it, and so of every codec's block


@dataclass(frozen=True, slots=True)
class Module:
    """A module with LoRA factors, read as a whole."""

    name: str


@dataclass(frozen=True, slots=True)
class Piece:
    """The values [first, last) of a tensor."""

    name: str
    first: int
    last: int


def parts_of(cohort: Cohort, *, values: int, by_module: bool = True) -> Iterator[Module | Piece]:
    """All of the model in the order of names: modules, and pieces of so many values.

    Not `by_module`: factors are tensors like any other. A residual is its module's.
    """
    for name, info in sorted(cohort.start.layout.tensors.items()):
        factor = lora_factor(name) if by_module else None
        if factor == "A":
            yield Module(name.removesuffix(A_SUFFIX))
        elif factor is None and not is_residual(name):
            count = prod(info.shape)
            for first in range(0, count, values):
                yield Piece(name, first, min(first + values, count))


def values_beside(count: int) -> int:
    """How many values a piece has when the changes of `count` updates lie side by side."""
    fitting = BESIDE_VALUES // count // _GRAIN * _GRAIN
    return max(_GRAIN, min(BLOCK_VALUES, fitting))


def read_pair(file: Source, module: str) -> Pair:
    """Both factors in float64; those of convolutions as the matrices they stand for.

    Of fixed factors with R between them it is the pair of B·R and A.
    """
    b, a = (file.tensor(module + end).flatten(1).double() for end in (B_SUFFIX, A_SUFFIX))
    if file.holds(module + R_SUFFIX):
        b = b @ file.tensor(module + R_SUFFIX).double()
    return Pair(b, a)


def read_residual(file: Source, module: str) -> Pair | None:
    """What lies beside a module's pair in a state, if anything does."""
    if not file.holds(module + RESIDUAL_A):
        return None
    b, a = (file.tensor(module + end).double() for end in (RESIDUAL_B, RESIDUAL_A))
    return Pair(b, a)


def members_of(cohort: Cohort, module: str, weights: Sequence[float]) -> Iterator[Member]:
    """Each update's pair of a module, read when its turn comes."""
    for one, (file, own) in enumerate(zip(cohort.files, cohort.starts, strict=True)):
        pair = read_pair(file, module)
        is_stale = cohort.is_stale(one)
        start = read_pair(own, module).leading(pair.rank) if is_stale else None
        yield Member(weights[one], pair, start)


def changes_of(cohort: Cohort, piece: Piece, factors: Sequence[float]) -> Tensor:
    """(updates, values) in float64: how each update moved a piece, times its factor."""
    place = piece.name, piece.first, piece.last
    start = cohort.start.values(*place)
    changes = torch.empty(len(cohort.files), len(start), dtype=torch.float64)
    for one, (file, factor) in enumerate(zip(cohort.files, factors, strict=True)):
        before = cohort.starts[one].values(*place) if cohort.is_stale(one) else start
        torch.sub(file.values(*place).double(), before, out=changes[one])
        if factor != 1.0:
            changes[one].mul_(factor)
    return changes


def check_finite(cohort: Cohort, piece: Piece | Module) -> None:
    """Refuse with the digest of the first update that holds NaN or infinity here."""
    for file, digest in zip(cohort.files, cohort.digests, strict=True):
        if isinstance(piece, Module):
            pair = read_pair(file, piece.name)
            found = norm_of(pair.a) + norm_of(pair.b)
        else:
            found = norm_of(file.values(piece.name, piece.first, piece.last))
        if not isfinite(found):
            raise AggregationRefused("non_finite", f"{digest}: {piece.name} holds NaN or infinity")
