"""Safetensors files whose blocks come in any order."""

from __future__ import annotations

import os
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Self

import torch
from torch import Tensor

from federation.layout import Shape, header_of
from federation.tensors import sha256_of

_ITEM_BYTES = 4  # of fp32


class ScatteredFile:
    """An fp32 safetensors file, its tensors sorted by name, written block by block in any order.

    A context manager; `tensors.stream_adapter` is for blocks that come in the order of the file.
    """

    def __init__(self, path: Path, shapes: Mapping[str, Shape]) -> None:
        ordered = {name: ("F32", shapes[name]) for name in sorted(shapes)}
        header = header_of(ordered, {"format": "pt"})
        self._path = path
        self._begins: dict[str, int] = {}
        self._left = 0
        for name, (_, shape) in ordered.items():
            self._begins[name] = len(header) + _ITEM_BYTES * self._left
            self._left += prod(shape)
        self._file = path.open("wb", buffering=0)
        self._put(header, 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, name: str, first: int, block: Tensor) -> None:
        """Write the values of a tensor from place `first` on; each place is written once."""
        values = block.detach().to("cpu", torch.float32).reshape(-1).contiguous()
        self._left -= len(values)
        self._put(values.numpy().data.cast("B"), self._begins[name] + _ITEM_BYTES * first)

    def digest(self) -> str:
        """The SHA-256 of the whole file; ValueError while values are missing."""
        if self._left:
            raise ValueError(f"{self._left} values are missing")
        return sha256_of(self._path)

    def _put(self, data: bytes | memoryview, offset: int) -> None:
        view = memoryview(data)
        while view:  # one call writes 2 GiB at most
            count = os.pwrite(self._file.fileno(), view, offset)
            view, offset = view[count:], offset + count
