"""Safetensors bytes: adapters read and written a block at a time.

Files are read, not mapped: a mapped page counts as resident until it is advised away, a reused
buffer never does, and from a warm cache both run at the speed of memory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Self

import torch
from torch import Tensor

from federation.layout import (
    Layout,
    LayoutRefused,
    Shape,
    TensorInfo,
    expected_shapes,
    header_of,
    lora_factor,
    read_layout,
)

BLOCK_VALUES = 64 << 10  # of one block: a quarter of a megabyte of fp32 stays in a core's cache
DTYPES = MappingProxyType(
    {
        "F32": torch.float32,
        "F16": torch.float16,
        "BF16": torch.bfloat16,
        "I8": torch.int8,  # this one and the next only in coded updates
        "U8": torch.uint8,
    }
)


class TensorFile:
    """A safetensors file, open for reading; a context manager.

    The layout is checked on opening (LayoutRefused). Nothing that was read is kept.
    """

    def __init__(self, path: Path, layout: Layout | None = None) -> None:
        self.layout = layout or read_layout(path)
        self._file = path.open("rb", buffering=0)
        # Many updates are read in turn, so ask for a larger read-ahead in each.
        os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()

    def holds(self, name: str) -> bool:
        """Whether there is a tensor of this name."""
        return name in self.layout.tensors

    def tensor(self, name: str) -> Tensor:
        """A whole tensor in its shape and dtype."""
        shape = self.layout.tensors[name].shape
        return self.values(name, 0, prod(shape)).reshape(shape)

    def values(self, name: str, first: int, last: int) -> Tensor:
        """The values [first, last) of a tensor in the order of its rows, flat, in its dtype."""
        info = self.layout.tensors[name]
        size = DTYPES[info.dtype].itemsize
        raw = torch.empty((last - first) * size, dtype=torch.uint8)
        self._fill(raw.numpy().data, self.layout.data_start + info.begin + first * size)
        return raw.view(DTYPES[info.dtype])

    def _fill(self, view: memoryview, offset: int) -> None:
        while view:  # one call reads 2 GiB at most
            count = os.preadv(self._file.fileno(), [view], offset)
            if count == 0:
                raise LayoutRefused("too_short", "the file ended while it was read")
            view, offset = view[count:], offset + count


def blocks_of(count: int) -> Iterator[tuple[int, int]]:
    """The ranges [first, last) in which `count` values are walked, always the same."""
    for first in range(0, count, BLOCK_VALUES):
        yield first, min(first + BLOCK_VALUES, count)


def write_adapter(path: Path, tensors: Iterable[tuple[str, Tensor]]) -> str:
    """Write named tensors as an adapter file: fp32, sorted by name; returns its SHA-256."""
    held = dict(tensors)
    shapes = {name: tuple(tensor.shape) for name, tensor in held.items()}
    return stream_adapter(path, shapes, sorted(held.items()))


def stream_adapter(
    path: Path,
    shapes: Mapping[str, Shape],
    blocks: Iterable[tuple[str, Tensor]],
    about: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """Write an adapter file whose tensors come in blocks; returns its SHA-256.

    Blocks come sorted by name, and within a tensor in the order of its values. The bytes are those
    that the safetensors library writes with {"format": "pt"} and what else the metadata are to say
    `about` the file. ValueError where the blocks do not fill `shapes`. Syncing and renaming are the
    caller's.
    """
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for data in _file_bytes(shapes, blocks, {"format": "pt", **about}):
            digest.update(data)
            file.write(data)
    return digest.hexdigest()


def _file_bytes(
    shapes: Mapping[str, Shape], blocks: Iterable[tuple[str, Tensor]], metadata: Mapping[str, str]
) -> Iterator[bytes | memoryview]:
    ordered = {name: ("F32", shapes[name]) for name in sorted(shapes)}
    yield header_of(ordered, metadata)
    left = {name: prod(shapes[name]) for name in sorted(shapes)}
    for name, block in blocks:
        if name != next(iter(left), None) or block.numel() > left[name]:
            raise ValueError(f"{block.numel()} values of {name!r} are not what comes next")
        left[name] -= block.numel()
        if left[name] == 0:
            del left[name]
        values = block.detach().to("cpu", torch.float32).reshape(-1).contiguous()
        yield values.numpy().data.cast("B")
    if left:
        raise ValueError(f"values are missing for {', '.join(left)}")


def norm_of(block: Tensor) -> float:
    """The Euclidean norm, accumulated in float64; NaN or infinite where any value is."""
    return float(torch.linalg.vector_norm(block, dtype=torch.float64))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file's bytes in lower-case hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def cut_rank(source: Path, rank: int, target: Path) -> str:
    """Write `source` with only the leading `rank` components of every LoRA pair.

    Returns the SHA-256 of the new file. The components of an aggregated adapter are sorted by
    what they do to the model, so the leading ones are the best approximation of that rank (Eckart
    and Young 1936), and cuts nest. Raises LayoutRefused("shape_mismatch") where the source has
    fewer components or `rank` is below 1.
    """
    with TensorFile(source) as file:
        for info in file.layout.tensors.values():
            _check_cut(info, rank)
        shapes = {n: shape for n, (_, shape) in expected_shapes(file.layout, rank).items()}
        return stream_adapter(target, shapes, _cut_blocks(file, rank))


def _check_cut(info: TensorInfo, rank: int) -> None:
    factor = lora_factor(info.name)
    if factor and not 1 <= rank <= info.shape[0 if factor == "A" else 1]:
        raise LayoutRefused("shape_mismatch", f"{info.name} cannot be cut to rank {rank}")


def _cut_blocks(file: TensorFile, rank: int) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(file.layout.tensors):
        match lora_factor(name):
            case "A":
                yield name, file.tensor(name)[:rank]
            case "B":
                yield name, file.tensor(name)[:, :rank]
            case "R":
                yield name, file.tensor(name)[:rank, :rank]
            case _:
                for first, last in blocks_of(prod(file.layout.tensors[name].shape)):
                    yield name, file.values(name, first, last)
