"""Control variates, at the server and at a site: `optimisers.Scaffold` says what they are.

Both sides compute what an update adds to them from the update as it is sent, so they agree without
a word. A file of them is fp32 safetensors with "control.<tensor>" for whatever is trained in one
round or another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from math import isfinite, prod
from pathlib import Path

import torch
from torch import Tensor

from federation.layout import Chosen, LayoutRefused, Shape, check_layout, read_layout
from federation.rates import Rates
from federation.sources import open_update
from federation.tensors import TensorFile, blocks_of, norm_of, stream_adapter

SLOT = "control"

Values = Callable[[str, int, int], Tensor]  # of a tensor, from a place to another, in float64


def control_name(tensor: str) -> str:
    """The name in a file of control variates."""
    return f"{SLOT}.{tensor}"


@dataclass(frozen=True, slots=True)
class Controlling:
    """What the updates of a round, in their order, make of the server's control variate.

    `members`: how many sites there are, N. `counts`: whose control variates change. `is_anew`: one
    of them has lost its own, so that all begin again with none.
    """

    rates: Rates
    steps: tuple[int, ...]
    counts: tuple[bool, ...]
    members: int
    is_anew: bool = False

    def weights(self, tensor: str) -> list[float]:
        """Factors of the changes yᵢ − x of a tensor, whose sum `following` takes."""
        each = zip(self.steps, self.counts, strict=True)
        return [
            -1.0 / (self.members * self.rates.total(tensor, steps)) if counts else 0.0
            for steps, counts in each
        ]

    def following(self, control: Tensor, means: Tensor) -> Tensor:
        """The next c of a piece: c + Σ ((x − yᵢ)/(Kᵢ·η) − c)/N over those that count."""
        if self.is_anew:
            return torch.zeros_like(control)
        left = (self.members - sum(self.counts)) / self.members
        return control * left + means


@dataclass(frozen=True, slots=True)
class Site:
    """A site's own files in a round: where it started, c of the server and its cᵢ, if any.

    `trained`: what is trained in one round or another. Files are opened for each question.
    """

    start: Path
    trained: Chosen
    server: Path | None
    own: Path | None

    def check(self) -> None:
        """Raises LayoutRefused where a file is none of this adapter's, or holds NaN or infinity."""
        expected = self._expected()
        for path in filter(None, (self.server, self.own)):
            check_layout(read_layout(path), expected)
            _check_finite(path)

    def write_correction(self, target: Path) -> str:
        """Write c − cᵢ by the names of the tensors themselves; returns its SHA-256."""
        with ExitStack() as files:
            server, own = (self._opened(files, path) for path in (self.server, self.own))

            def values(tensor: str, first: int, last: int) -> Tensor:
                name = control_name(tensor)
                return server(name, first, last) - own(name, first, last)

            shapes = self._shapes()
            return stream_adapter(target, shapes, _blocks(shapes, values))

    def write_control(
        self,
        *,
        update: Path,
        rank: int,
        codec: str,
        travels: Chosen,
        rates: Rates,
        steps: int,
        target: Path,
    ) -> str:
        """Write cᵢ' = cᵢ − c + (x − yᵢ)/(K·η), yᵢ as the hub decodes it; returns its SHA-256.

        What does not travel in this round keeps its cᵢ.
        """
        with ExitStack() as files:
            server, own = (self._opened(files, path) for path in (self.server, self.own))
            begun = files.enter_context(TensorFile(self.start))
            source = open_update(update, start=begun, rank=rank, codec=codec, travels=travels)
            ended = files.enter_context(closing(source))

            def values(tensor: str, first: int, last: int) -> Tensor:
                name, place = control_name(tensor), (tensor, first, last)
                before = own(name, first, last)
                if not travels(tensor):
                    return before
                moved = begun.values(*place).double() - ended.values(*place)
                return before - server(name, first, last) + moved / rates.total(tensor, steps)

            shapes = self._shapes()
            named = ((control_name(n), block) for n, block in _blocks(shapes, values))
            return stream_adapter(target, {control_name(n): s for n, s in shapes.items()}, named)

    def _shapes(self) -> dict[str, Shape]:
        tensors = read_layout(self.start).tensors.items()
        return {name: info.shape for name, info in tensors if self.trained(name)}

    def _expected(self) -> dict[str, tuple[str, Shape]]:
        return {control_name(name): ("F32", shape) for name, shape in self._shapes().items()}

    def _opened(self, files: ExitStack, path: Path | None) -> Values:
        """Reads a file of control variates; where there is none, all of it is 0."""
        if path is None:
            return lambda _, first, last: torch.zeros(last - first, dtype=torch.float64)
        opened = files.enter_context(TensorFile(path))
        return lambda name, first, last: opened.values(name, first, last).double()


def _blocks(shapes: Mapping[str, Shape], values: Values) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(shapes):
        for first, last in blocks_of(prod(shapes[name])):
            yield name, values(name, first, last)


def _check_finite(path: Path) -> None:
    with TensorFile(path) as file:
        for name, info in file.layout.tensors.items():
            for first, last in blocks_of(prod(info.shape)):
                if not isfinite(norm_of(file.values(name, first, last))):
                    raise LayoutRefused("non_finite", f"{name} holds NaN or infinity")
