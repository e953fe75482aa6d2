"""One walk over all tensors of a round: reads each value once, writes the result as it goes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import hypot, isfinite, prod
from pathlib import Path

import torch
from torch import Tensor

from federation.cohort import Cohort
from federation.layout import A_SUFFIX, B_SUFFIX, expected_shapes, lora_factor
from federation.pairs import Pair, change, norm
from federation.strategies import AggregationRefused, Strategy
from federation.tensors import TensorFile, blocks_of, norm_of, stream_adapter


@dataclass(frozen=True, slots=True)
class Recipe:
    """What is the same in every walk: the strategy, the LoRA scale, the rank of the result."""

    strategy: Strategy
    scale: float
    rank: int


class Walk:
    """Combines a cohort under fixed weights, and keeps what it saw on the way.

    After `write`: `norms` says how far each update moved the model, `ranks` the components in use
    by module; `ideal`, `error` and `discarded` are sums of the strategy's squares.
    """

    def __init__(self, cohort: Cohort, recipe: Recipe, weights: Sequence[float]) -> None:
        self.norms = [0.0] * len(cohort.files)
        self.ranks: dict[str, int] = {}
        self.ideal = self.error = self.discarded = 0.0
        self._cohort = cohort
        self._recipe = recipe
        self._weights = weights

    def write(self, target: Path) -> str:
        """Write the combined adapter; returns its SHA-256."""
        expected = expected_shapes(self._cohort.start.layout, self._recipe.rank)
        shapes = {name: shape for name, (_, shape) in expected.items()}
        return stream_adapter(target, shapes, self._blocks())

    def _blocks(self) -> Iterator[tuple[str, Tensor]]:
        for name in sorted(self._cohort.start.layout.tensors):
            match lora_factor(name):
                case "A":  # the name of its B is the next
                    yield from self._pair(name.removesuffix(A_SUFFIX))
                case None:
                    yield from self._plain(name)

    def _pair(self, module: str) -> Iterator[tuple[str, Tensor]]:
        start = read_pair(self._cohort.start, module)
        updates = self._updates(module, start)
        combined = self._recipe.strategy.combine_pair(start, updates, self._recipe.rank)
        self.ranks[module] = combined.rank
        self.ideal += combined.ideal_square
        self.error += combined.error_square
        self.discarded += combined.discarded_square
        yield module + A_SUFFIX, _checked(combined.pair.a)
        yield module + B_SUFFIX, _checked(combined.pair.b)

    def _updates(self, module: str, start: Pair) -> Iterator[tuple[float, Pair]]:
        for index, file in enumerate(self._cohort.files):
            pair = read_pair(file, module)
            self._measure(index, self._recipe.scale * _moved(start, pair))
            yield self._weights[index], pair

    def _plain(self, name: str) -> Iterator[tuple[str, Tensor]]:
        for first, last in blocks_of(prod(self._cohort.start.layout.tensors[name].shape)):
            start = self._cohort.start.values(name, first, last).double()
            total = torch.zeros_like(start)
            for index, file in enumerate(self._cohort.files):
                moved = file.values(name, first, last) - start
                self._measure(index, norm_of(moved))
                total.add_(moved, alpha=self._weights[index])
            yield name, _checked(total.add_(start))

    def _measure(self, index: int, moved: float) -> None:
        if not isfinite(moved):
            digest = self._cohort.updates[index].digest
            raise AggregationRefused("non_finite", f"{digest} holds NaN or infinity")
        self.norms[index] = hypot(self.norms[index], moved)


def norm_of_change(start: TensorFile, update: TensorFile, scale: float) -> float:
    """How far one update moves the model: the norm that a walk would measure."""
    total = 0.0
    for name, info in sorted(start.layout.tensors.items()):
        match lora_factor(name):
            case "A":
                pairs = (read_pair(file, name.removesuffix(A_SUFFIX)) for file in (start, update))
                total = hypot(total, scale * _moved(*pairs))
            case None:
                for first, last in blocks_of(prod(info.shape)):
                    values = update.values(name, first, last).double()
                    total = hypot(total, norm_of(values - start.values(name, first, last)))
    return total


def _moved(start: Pair, update: Pair) -> float:
    return norm(change(start.leading(update.rank), update))


def read_pair(file: TensorFile, module: str) -> Pair:
    """Both factors in float64; those of convolutions as the matrices they stand for."""
    b, a = file.tensor(module + B_SUFFIX), file.tensor(module + A_SUFFIX)
    return Pair(b.flatten(1).double(), a.flatten(1).double())


def _checked(block: Tensor) -> Tensor:
    """The block as it will be stored, refused where fp32 cannot hold it."""
    stored = block.float()
    if not isfinite(norm_of(stored)):
        raise AggregationRefused("non_finite", "the result is too large for fp32")
    return stored
