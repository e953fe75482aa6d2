"""One walk over all tensors of a round: reads each value once, writes the result as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from federation.cohort import Cohort
from federation.cores import in_order
from federation.layout import expected_shapes, is_residual
from federation.measuring import dense_rows
from federation.method import Method
from federation.reading import (
    Module,
    Piece,
    changes_of,
    check_finite,
    members_of,
    parts_of,
    read_pair,
    read_residual,
    values_beside,
)
from federation.residuals import named_factors, room_of, shapes_of, with_residual
from federation.rules import Weights
from federation.stepping import Memory, ServerStep
from federation.strategies import AggregationRefused, ChangeStrategy, Combined
from federation.tensors import BLOCK_VALUES, norm_of, stream_adapter

Blocks = tuple[tuple[str, Tensor], ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one part of the model; `module` says what a strategy did to a pair.

    `memory`: what the server's optimiser is to remember of the part.
    """

    part: Module | Piece
    blocks: Blocks
    module: Combined | None = None
    memory: Memory | None = None


class Walk:
    """Combines a cohort under fixed weights, and keeps what strategies said on the way.

    `step` is the server's, where its optimiser remembers something. After `write`: `ranks` has the
    components in use by module; `ideal`, `error` and `discarded` are sums of the strategy's
    squares.
    """

    def __init__(
        self, cohort: Cohort, method: Method, weights: Weights, step: ServerStep | None = None
    ) -> None:
        self.ranks: dict[str, int] = {}
        self.ideal = self.error = self.discarded = 0.0
        self._step = step
        self._cohort = cohort
        self._method = method
        self._weights = weights
        self._products = weights.products
        stale = (cohort.is_stale(one) for one in range(len(cohort.files)))
        fresh = [0.0 if is_stale else p for is_stale, p in zip(stale, self._products, strict=True)]
        self._left = 1.0 - sum(fresh)
        self._room = room_of(cohort, method, self._products)

    def write(self, target: Path) -> str:
        """Write the next adapter; returns its SHA-256."""
        layout, rank = self._cohort.start.layout, self._method.rank
        expected = expected_shapes(layout, rank, lambda name: not is_residual(name))
        shapes = {name: shape for name, (_, shape) in expected.items()}
        shapes |= shapes_of(self._cohort, self._room)
        return stream_adapter(target, shapes, self._blocks())

    def _blocks(self) -> Iterator[tuple[str, Tensor]]:
        for done in in_order(self._combined, self._parts()):
            if done.module and isinstance(done.part, Module):
                self.ranks[done.part.name] = done.module.rank
                self.ideal += done.module.ideal_square
                self.error += done.module.error_square
                self.discarded += done.module.discarded_square
            if self._step and done.memory:
                self._step.remember(done.memory)
            yield from done.blocks

    def _parts(self) -> Iterator[Module | Piece]:
        is_streamed = self._method.combination.is_linear
        values = BLOCK_VALUES if is_streamed else values_beside(len(self._cohort.files))
        by_module = not self._method.strategy.averages_factors
        return parts_of(self._cohort, values=values, by_module=by_module)

    def _combined(self, part: Module | Piece) -> Done:
        if isinstance(part, Module):
            return self._module(part)
        if not self._cohort.travels(part.name):  # the start's, to the byte
            stayed = self._cohort.start.values(part.name, part.first, part.last)
            kept = self._step.kept(part) if self._step else None
            return Done(part, ((part.name, stayed),), memory=kept)
        is_linear = self._method.combination.is_linear
        if self._step is not None:
            if is_linear:
                return self._stepped(self._step, part, *self._sums(part, *self._counting(part)))
            return self._stepped(self._step, part, self._moved(part))
        found = self._mean(part) if is_linear else self._coordinates(part)
        return Done(part, ((part.name, self._checked(part, found)),))

    def _mean(self, piece: Piece) -> Tensor:
        """The sum start + Σ wᵢ (xᵢ − startᵢ), each value read once and added to one running sum."""
        cohort, place = self._cohort, (piece.name, piece.first, piece.last)
        total = cohort.start.values(*place).double().mul_(self._left)
        for one, (file, weight) in enumerate(zip(cohort.files, self._products, strict=True)):
            total.add_(file.values(*place), alpha=weight)
            if cohort.is_stale(one):
                total.add_(cohort.starts[one].values(*place), alpha=-weight)
        return total

    def _counting(self, piece: Piece) -> list[Sequence[float]]:
        """The weights of the changes in the step, and in the control variate if there is one."""
        controlling = self._step.controlling if self._step else None
        return [self._products, *([controlling.weights(piece.name)] if controlling else [])]

    def _sums(self, piece: Piece, *weights: Sequence[float]) -> list[Tensor]:
        """For each list of weights Σ wᵢ (xᵢ − startᵢ), exactly zero where nobody moved."""
        cohort, place = self._cohort, (piece.name, piece.first, piece.last)
        start = cohort.start.values(*place).double()
        totals = [torch.zeros_like(start) for _ in weights]
        for one, file in enumerate(cohort.files):
            before = cohort.starts[one].values(*place) if cohort.is_stale(one) else start
            change = file.values(*place).double().sub_(before)
            for total, of_all in zip(totals, weights, strict=True):
                total.add_(change, alpha=of_all[one])
        return totals

    def _coordinates(self, piece: Piece) -> Tensor:
        start = self._cohort.start.values(piece.name, piece.first, piece.last)
        return self._moved(piece) + start

    def _moved(self, piece: Piece) -> Tensor:
        return self._counted(changes_of(self._cohort, piece, self._weights.factors))

    def _stepped(
        self, server: ServerStep, piece: Piece, change: Tensor, means: Tensor | None = None
    ) -> Done:
        step, memory = server.plain(piece, change, means)
        found = step + self._cohort.start.values(piece.name, piece.first, piece.last)
        return Done(piece, ((piece.name, self._checked(piece, found)),), memory=memory)

    def _counted(self, changes: Tensor) -> Tensor:
        """The combination of those changes that have a share."""
        shares = torch.tensor(self._weights.shares, dtype=torch.float64)
        counts = shares > 0
        if not bool(counts.any()):
            return torch.zeros_like(changes[0])
        if not bool(counts.all()):
            changes, shares = changes[counts], shares[counts]
        return self._method.combination.combine(changes, shares)

    def _module(self, module: Module) -> Done:
        strategy, rank = self._method.strategy, self._method.rank
        assert isinstance(strategy, ChangeStrategy)
        start = read_pair(self._cohort.start, module.name)
        memory = None
        if self._method.combination.is_linear:
            members = members_of(self._cohort, module.name, self._products)
            if self._step is not None:
                combined, memory = self._step.members(module, start, members, rank)
            else:
                combined = strategy.combine(start, members, rank)
        else:
            change = self._dense(module, start.size)
            if self._step is not None:
                combined, memory = self._step.dense(module, start, change, rank)
            else:
                combined = strategy.approximate(start, change, rank)
        if combined.residual is not None:
            before = read_residual(self._cohort.start, module.name)
            combined = with_residual(combined, before, self._room)
        named = named_factors(module.name, combined)
        blocks = tuple((name, self._checked(module, factor)) for name, factor in named)
        return Done(module, blocks, combined, memory)

    def _dense(self, module: Module, size: tuple[int, int]) -> Tensor:
        """What the combination makes of the matrices of a module's changes, row by row."""
        change = torch.empty(size, dtype=torch.float64)
        for rows, changes in dense_rows(self._cohort, module, self._weights.factors):
            change[rows] = self._counted(changes).reshape(-1, size[1])
        return change

    def _checked(self, part: Module | Piece, block: Tensor) -> Tensor:
        """The block as it will be stored, refused where fp32 cannot hold it."""
        stored = block.float()
        if not isfinite(norm_of(stored)):
            check_finite(self._cohort, part)
            raise AggregationRefused("non_finite", "the result is too large for fp32")
        return stored
