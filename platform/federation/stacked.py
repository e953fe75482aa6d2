"""A round taken apart: one adapter in which every component belongs to somebody.

Of each module the start's components come first, then those of each update's change, side by side
in B and below each other in A, what the update counts folded into A:

    B = [B₀ | B₁−B₀, B₀ | …],  A = [A₀ ; w₁A₁ ; w₁(A₁−A₀) ; …],  BA = W₀ + Σ wᵢ (BᵢAᵢ − B₀A₀).

So the product is the exact change, nothing is approximated, and whoever leaves takes the
components along: the adapter of a coalition, a removal and an audit are all a choice of
components. It is the stacking of FLoRA (Wang et al. 2024, arXiv:2409.05976) of changes rather than
of pairs, so that what stays of the start does not depend on who takes part. Where only one factor
travels, a change has as many components as the update has rank; else twice as many. Tensors that
are no factors lie beside each other: the start's, and what each update changes.

The file is as large as all updates together, twice, so it is made when it is asked for, from the
updates that are stored anyway.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from math import fsum, prod
from pathlib import Path
from typing import Final

import torch
from torch import Tensor

from federation.cohort import Cohort, WeightedUpdate, open_cohort
from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    Chosen,
    Layout,
    LayoutRefused,
    Shape,
    everything,
    is_residual,
    lora_factor,
    modules_of,
    ranks_of,
    residual_rank,
)
from federation.pairs import Pair, beside
from federation.reading import read_pair, read_residual
from federation.tensors import TensorFile, blocks_of, stream_adapter

FORM: Final = "stacked"
START, CHANGE = "start.", "change."  # of tensors that are no factors
_TOGETHER = 1 << 22  # values of B that are put side by side at a time


@dataclass(frozen=True, slots=True)
class Share:
    """The components [first, last) of every module are one update's; `weight` is in them."""

    digest: str
    first: int
    last: int
    weight: float


def write_stacked(
    *,
    start: Path,
    updates: Sequence[WeightedUpdate],
    weights: Mapping[str, float],
    target: Path,
    travels: Chosen = everything,
) -> str:
    """Write the stacked adapter of a round; returns its SHA-256.

    `weights`: what each update counts, by digest, as the report of the round has it. Raises
    AggregationRefused where an update does not fit `start`. The same inputs give the same bytes.
    """
    with ExitStack() as files:
        cohort = open_cohort(files, start, updates, travels)
        stack = _Stack(cohort, [weights[digest] for digest in cohort.digests])
        about = {"form": FORM, "shares": json.dumps([asdict(one) for one in stack.shares])}
        return stream_adapter(target, stack.shapes(), stack.blocks(), about)


def shares_of(layout: Layout) -> list[Share]:
    """Who owns which components of a stacked adapter. Raises LayoutRefused for any other file."""
    if layout.metadata.get("form") != FORM:
        raise LayoutRefused("format", "this is no stacked adapter")
    return [Share(**share) for share in json.loads(layout.metadata["shares"])]


def masked(stacked: Path, digests: Collection[str], target: Path) -> str:
    """Write the plain adapter that the round had ended with, had only these taken part.

    They count as they did among each other, and together as much as all did; of nobody, it is the
    start. Its rank is that of the components that are left. Returns the SHA-256. KeyError where
    the round had no such update.
    """
    with TensorFile(stacked) as file:
        shares = shares_of(file.layout)
        if unknown := set(digests) - {share.digest for share in shares}:
            raise KeyError(min(unknown))
        chosen = {number: one for number, one in enumerate(shares) if one.digest in digests}
        total = fsum(one.weight for one in chosen.values())
        factor = fsum(one.weight for one in shares) / total if total > 0 else 0.0
        mask = _Mask(file, chosen, factor, begin=min(one.first for one in shares))
        return stream_adapter(target, mask.shapes(), mask.blocks())


class _Stack:
    """What a stacked file holds, computed as it is written."""

    def __init__(self, cohort: Cohort, weights: Sequence[float]) -> None:
        tensors = cohort.start.layout.tensors
        factors = {f for name in tensors if cohort.travels(name) and (f := lora_factor(name))}
        self._moving = factors
        self._cohort, self._weights = cohort, weights
        self._begin = max(ranks_of(cohort.start.layout), default=0)
        self._begin += residual_rank(cohort.start.layout)
        self.shares = self._shares()

    @property
    def _width(self) -> int:
        """How many components a change has for each that the update has."""
        return 2 if {"A", "B"} <= self._moving else 1

    def _shares(self) -> list[Share]:
        found, first = [], self._begin
        for update, weight in zip(self._cohort.updates, self._weights, strict=True):
            last = first + update.rank * self._width if self._begin else first
            found.append(Share(update.digest, first, last, weight))
            first = last
        return found

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        rank = self.shares[-1].last
        tensors = self._cohort.start.layout.tensors
        for module in modules_of(self._cohort.start.layout):
            a, b = module + A_SUFFIX, module + B_SUFFIX
            found |= {
                a: (rank, *tensors[a].shape[1:]),
                b: (tensors[b].shape[0], rank, *tensors[b].shape[2:]),
            }
        for name in self._plain():
            found[START + name] = tensors[name].shape
            for number in range(len(self.shares)):
                found[f"{CHANGE}{number}.{name}"] = tensors[name].shape
        return found

    def _plain(self) -> list[str]:
        names = self._cohort.start.layout.tensors
        return [name for name in names if lora_factor(name) is None and not is_residual(name)]

    def blocks(self) -> Iterator[tuple[str, Tensor]]:
        for name in sorted(self.shapes()):
            match lora_factor(name):
                case "A":
                    yield from ((name, one.a) for one in self._pairs(name.removesuffix(A_SUFFIX)))
                case "B":
                    yield from ((name, rows) for rows in self._rows(name.removesuffix(B_SUFFIX)))
                case _:
                    yield from ((name, piece) for piece in self._pieces(name))

    def _pairs(self, module: str) -> Iterator[Pair]:
        """The components of the start, then those of each update, its weight in A."""
        cohort = self._cohort
        start, more = read_pair(cohort.start, module), read_residual(cohort.start, module)
        yield beside(start, more) if more else start
        for one, (file, weight) in enumerate(zip(cohort.files, self._weights, strict=True)):
            update = read_pair(file, module)
            own = read_pair(cohort.starts[one], module) if cohort.is_stale(one) else start
            change = self._change(own.leading(update.rank), update)
            yield Pair(change.b, weight * change.a)

    def _change(self, own: Pair, update: Pair) -> Pair:
        by_b, by_a = Pair(update.b - own.b, update.a), Pair(own.b, update.a - own.a)
        if self._moving == {"A"}:
            return by_a
        return beside(by_b, by_a) if self._width > 1 else by_b

    def _rows(self, module: str) -> Iterator[Tensor]:
        """B in bands of rows, so that a wide stack of a high module does not lie in memory."""
        high, rank = self.shapes()[module + B_SUFFIX][:2]
        band = max(1, _TOGETHER // rank)
        for first in range(0, high, band):
            yield torch.cat([one.b[first : first + band].float() for one in self._pairs(module)], 1)

    def _pieces(self, name: str) -> Iterator[Tensor]:
        cohort = self._cohort
        if name.startswith(START):
            own = name.removeprefix(START)
            for first, last in blocks_of(prod(cohort.start.layout.tensors[own].shape)):
                yield cohort.start.values(own, first, last)
            return
        number, _, own = name.removeprefix(CHANGE).partition(".")
        one = int(number)
        for first, last in blocks_of(prod(cohort.start.layout.tensors[own].shape)):
            before = cohort.starts[one].values(own, first, last).double()
            yield self._weights[one] * (cohort.files[one].values(own, first, last) - before)


@dataclass(frozen=True, slots=True)
class _Mask:
    """The components of some, as a plain adapter; `chosen` are shares by their numbers."""

    file: TensorFile
    chosen: Mapping[int, Share]
    factor: float
    begin: int  # the start's components come before it

    @property
    def _rank(self) -> int:
        return self.begin + sum(one.last - one.first for one in self.chosen.values())

    def shapes(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {}
        for name, info in self.file.layout.tensors.items():
            match lora_factor(name):
                case "A":
                    found[name] = (self._rank, *info.shape[1:])
                case "B":
                    found[name] = (info.shape[0], self._rank, *info.shape[2:])
                case _ if name.startswith(START):
                    found[name.removeprefix(START)] = info.shape
        return found

    def blocks(self) -> Iterator[tuple[str, Tensor]]:
        for name, shape in sorted(self.shapes().items()):
            match lora_factor(name):
                case "A":
                    yield name, self._a(self.file.tensor(name).double())
                case "B":
                    whole = self.file.tensor(name)
                    parts = [whole[:, one.first : one.last] for one in self.chosen.values()]
                    yield name, torch.cat([whole[:, : self.begin], *parts], 1)
                case _:
                    yield from ((name, piece) for piece in self._pieces(name, prod(shape)))

    def _a(self, whole: Tensor) -> Tensor:
        parts = [self.factor * whole[one.first : one.last] for one in self.chosen.values()]
        return torch.cat([whole[: self.begin], *parts])

    def _pieces(self, name: str, count: int) -> Iterator[Tensor]:
        for first, last in blocks_of(count):
            total = self.file.values(START + name, first, last).double()
            for number in self.chosen:
                change = self.file.values(f"{CHANGE}{number}.{name}", first, last)
                total.add_(change, alpha=self.factor)
            yield total
