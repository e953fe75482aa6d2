"""Updates open for reading as the weights they stand for, whatever form they came in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from torch import Tensor

from federation.coded import PLAIN, check_update
from federation.codings import decoded
from federation.layout import Chosen, Layout, everything, lora_factor
from federation.tensors import TensorFile


class Source(Protocol):
    """Named tensors that are read in pieces; `TensorFile` is the plainest."""

    def close(self) -> None: ...

    def holds(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        ...

    def tensor(self, name: str) -> Tensor:
        """A whole tensor in its shape."""
        ...

    def values(self, name: str, first: int, last: int) -> Tensor:
        """The values [first, last) of a tensor in the order of its rows, flat."""
        ...


class CodedFile:
    """A coded change over the start it was trained from: decoded as it is read, in fp32.

    `start` belongs to somebody else and stays open. Pieces begin at a multiple of the codec's
    block.
    """

    def __init__(
        self, path: Path, layout: Layout, *, start: TensorFile, rank: int, codec: str
    ) -> None:
        self._coded = TensorFile(path, layout)
        self._start = start
        self._rank = rank
        self._codec = codec

    def close(self) -> None:
        self._coded.close()

    def holds(self, name: str) -> bool:
        return self._start.holds(name)

    def tensor(self, name: str) -> Tensor:
        before = leading(self._start, name, self._rank)
        return self._changed(name, before.reshape(-1), 0, before.numel()).reshape(before.shape)

    def values(self, name: str, first: int, last: int) -> Tensor:
        if lora_factor(name):  # it may be cut, and then its values lie elsewhere
            before = leading(self._start, name, self._rank).reshape(-1)[first:last]
        else:
            before = self._start.values(name, first, last)
        return self._changed(name, before, first, last)

    def _changed(self, name: str, before: Tensor, first: int, last: int) -> Tensor:
        change = decoded(self._coded, name, first, last, self._codec)
        return (before.double() + change).float()


@dataclass(frozen=True, slots=True)
class Completed:
    """An update that holds only what travels: what stayed is its start's."""

    update: Source
    start: TensorFile
    rank: int
    travels: Chosen

    def close(self) -> None:
        self.update.close()

    def holds(self, name: str) -> bool:
        return self.start.holds(name)

    def tensor(self, name: str) -> Tensor:
        if self.travels(name):
            return self.update.tensor(name)
        return leading(self.start, name, self.rank)

    def values(self, name: str, first: int, last: int) -> Tensor:
        if self.travels(name):
            return self.update.values(name, first, last)
        return leading(self.start, name, self.rank).reshape(-1)[first:last]


def leading(start: TensorFile, name: str, rank: int) -> Tensor:
    """A tensor of the start, cut to this rank where it is a factor."""
    whole = start.tensor(name)
    match lora_factor(name):
        case "A":
            return whole[:rank]
        case "B":
            return whole[:, :rank]
        case "R":
            return whole[:rank, :rank]
        case _:
            return whole


def open_update(
    path: Path, *, start: TensorFile, rank: int, codec: str, travels: Chosen = everything
) -> Source:
    """Check the layout of an update and open it; raises LayoutRefused.

    It reads as a whole adapter, whatever part of one `travels`.
    """
    layout = check_update(path, start=start.layout, rank=rank, codec=codec, travels=travels)
    source = (
        TensorFile(path, layout)
        if codec == PLAIN
        else CodedFile(path, layout, start=start, rank=rank, codec=codec)
    )
    is_whole = all(map(travels, start.layout.tensors))
    return source if is_whole else Completed(source, start, rank, travels)
