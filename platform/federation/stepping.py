"""The step of the server over one round: reads what its optimiser remembers, writes what it will.

The state of an optimiser is a safetensors file beside the adapter, "<slot>.<tensor>" in fp32. It
is always read from there, so a run that goes on from a version does so to the byte. Of a module
whose pairs are combined as changes of the model, the velocity is such a change itself: a pair of
at most twice the rank of the adapter, cut by its singular values.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

import torch
from torch import Tensor

from federation.cohort import Cohort
from federation.controls import Controlling
from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    LayoutRefused,
    Shape,
    check_layout,
    lora_factor,
    modules_of,
    read_layout,
)
from federation.method import Method
from federation.optimisers import LinearOptimiser, State
from federation.pairs import Pair, Stack, norm
from federation.reading import Module, Piece, read_pair
from federation.scattered import ScatteredFile
from federation.strategies import AggregationRefused, ChangeStrategy, Combined, Member
from federation.strategies.truncated import cut
from federation.tensors import TensorFile, norm_of

VELOCITY_RANKS = 2  # times the rank of the adapter


@dataclass(frozen=True, slots=True)
class Memory:
    """What is to be remembered of one part: (name in the file, first value, values).

    Squared norms of a module's velocity before its cut, and of what the cut took.
    """

    blocks: tuple[tuple[str, int, Tensor], ...]
    square: float = 0.0
    discarded_square: float = 0.0


def state_shapes(cohort: Cohort, method: Method) -> dict[str, Shape]:
    """Names and shapes of the state's tensors for the adapter that the round started from."""
    by_module = not method.strategy.averages_factors
    shapes: dict[str, Shape] = {}
    for name, info in cohort.start.layout.tensors.items():
        is_remembered = method.rates is None or method.trained(name)
        if is_remembered and not (by_module and lora_factor(name)):
            shapes |= {f"{slot}.{name}": info.shape for slot in method.optimiser.slots}
    for module in sorted(modules_of(cohort.start.layout)) if by_module else ():
        high, wide = cohort.size_of(module)
        rank = min(VELOCITY_RANKS * method.rank, high, wide)
        for slot in method.optimiser.slots:
            shapes[f"{slot}.{module}{A_SUFFIX}"] = (rank, wide)
            shapes[f"{slot}.{module}{B_SUFFIX}"] = (high, rank)
    return shapes


def server_step(
    files: ExitStack,
    cohort: Cohort,
    method: Method,
    *,
    state: Path | None,
    target: Path | None,
    controlling: Controlling | None = None,
) -> ServerStep | None:
    """The step of the server with its files open within `files`; none where nothing is remembered.

    `state`: what was remembered at the start of the round; none in the first one. Raises
    AggregationRefused("state_mismatch") where it belongs to another adapter or optimiser.
    """
    if not method.remembers:
        return None
    if target is None:
        raise ValueError("an optimiser that remembers needs a file to do it in")
    shapes = state_shapes(cohort, method)
    before = files.enter_context(_opened(state, shapes)) if state else None
    after = files.enter_context(ScatteredFile(target, shapes))
    return ServerStep(method, before, after, shapes, controlling)


def _opened(path: Path, shapes: Mapping[str, Shape]) -> TensorFile:
    try:
        layout = read_layout(path)
        check_layout(layout, {name: ("F32", shape) for name, shape in shapes.items()})
    except LayoutRefused as error:
        raise AggregationRefused("state_mismatch", f"the optimiser's state: {error}") from error
    return TensorFile(path, layout)


class ServerStep:
    """Moves the parts of the model along their combined changes.

    Parts may be computed at once; what is to be remembered of them is handed back for `remember`.
    """

    def __init__(
        self,
        method: Method,
        before: TensorFile | None,
        after: ScatteredFile,
        shapes: Mapping[str, Shape],
        controlling: Controlling | None = None,
    ) -> None:
        self.controlling = controlling
        self._method = method
        self._optimiser = method.optimiser
        self._state = before
        self._after = after
        self._shapes = shapes
        self._square = self._discarded = 0.0

    def remember(self, memory: Memory) -> None:
        """Write what is to be remembered of a part; each part comes once, in a fixed order."""
        for name, first, block in memory.blocks:
            stored = block.float()
            if not isfinite(norm_of(stored)):
                raise AggregationRefused("non_finite", f"{name} is too large for fp32")
            self._after.write(name, first, stored)
        self._square += memory.square
        self._discarded += memory.discarded_square

    def digest(self) -> str:
        """The SHA-256 of the next state, once all parts are remembered."""
        return self._after.digest()

    def discarded(self) -> float:
        """The share of the squared singular values that the cuts of velocities took."""
        return self._discarded / self._square if self._square > 0 else 0.0

    def plain(
        self, piece: Piece, change: Tensor, means: Tensor | None = None
    ) -> tuple[Tensor, Memory]:
        """The step along a piece's change, and what is to be remembered of it.

        `means`: what the sites' control variates become, where there are any.
        """
        step, state = self._optimiser.step(change, self._before(piece))
        if self.controlling and means is not None:
            state = {slot: self.controlling.following(state[slot], means) for slot in state}
        return step, self._memory(piece, state)

    def kept(self, piece: Piece) -> Memory:
        """What is remembered of a piece that no update of this round may move: what was."""
        is_remembered = all(name in self._shapes for name in self._names(piece).values())
        return self._memory(piece, self._before(piece)) if is_remembered else Memory(())

    def members(
        self, module: Module, start: Pair, members: Iterable[Member], rank: int
    ) -> tuple[Combined, Memory]:
        """The next pair of a module whose changes are given as pairs, which are read once."""
        optimiser, strategy = self._linear()
        of_velocity, of_change = optimiser.coefficients
        change = Stack(start.size)
        for member in members:
            change.add(member.change(start), member.weight)
        together = change.pair()
        moved = [Member(of_velocity + of_change, together, together.leading(0))]
        velocity = self._velocity(module)
        kept = of_velocity * optimiser.momentum
        if velocity is not None and kept > 0:
            moved.append(Member(kept, velocity, velocity.leading(0)))
        combined = strategy.combine(start, moved, rank)
        return combined, self._remembered(module, change, velocity)

    def dense(
        self, module: Module, start: Pair, change: Tensor, rank: int
    ) -> tuple[Combined, Memory]:
        """The next pair of a module that is asked to move by a matrix."""
        optimiser, strategy = self._linear()
        of_velocity, of_change = optimiser.coefficients
        step = (of_velocity + of_change) * change
        velocity = self._velocity(module)
        if velocity is not None:
            step += of_velocity * optimiser.momentum * velocity.dense()
        stack = Stack(start.size)
        stack.add(Pair(change, torch.eye(start.size[1], dtype=torch.float64)))
        combined = strategy.approximate(start, step, rank)
        return combined, self._remembered(module, stack, velocity)

    def _linear(self) -> tuple[LinearOptimiser, ChangeStrategy]:
        optimiser, strategy = self._optimiser, self._method.strategy
        assert isinstance(optimiser, LinearOptimiser)
        assert isinstance(strategy, ChangeStrategy)
        return optimiser, strategy

    def _memory(self, piece: Piece, state: State) -> Memory:
        names = self._names(piece).items()
        return Memory(tuple((name, piece.first, state[slot]) for slot, name in names))

    def _names(self, piece: Piece) -> dict[str, str]:
        """Of a piece's tensor in the file, by slot."""
        return {slot: f"{slot}.{piece.name}" for slot in self._optimiser.slots}

    def _before(self, piece: Piece) -> State:
        if self._state is None:
            nothing = torch.zeros(piece.last - piece.first, dtype=torch.float64)
            return dict.fromkeys(self._optimiser.slots, nothing)
        place = piece.first, piece.last
        names = self._names(piece).items()
        return {slot: self._state.values(name, *place).double() for slot, name in names}

    def _velocity(self, module: Module) -> Pair | None:
        return read_pair(self._state, f"velocity.{module.name}") if self._state else None

    def _remembered(self, module: Module, change: Stack, velocity: Pair | None) -> Memory:
        """The next velocity β·v + D, cut to the rank that the file has room for."""
        optimiser, _ = self._linear()
        if velocity is not None:
            change.add(velocity, optimiser.momentum)
        a, b = f"velocity.{module.name}{A_SUFFIX}", f"velocity.{module.name}{B_SUFFIX}"
        kept = cut(change.pair(), self._shapes[a][0])
        lost, pair = kept.discarded_square, kept.pair
        return Memory(((a, 0, pair.a), (b, 0, pair.b)), norm(pair) ** 2 + lost, lost)
