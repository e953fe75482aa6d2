"""What a state is published as: plain LoRA, which peft loads without us.

A round's state is the file that agents start from. It may hold what plain LoRA has no place for:
a matrix R between fixed factors. Without such, it is published as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

from torch import Tensor

from federation.layout import B_SUFFIX, R_SUFFIX, Layout, lora_factor
from federation.reading import read_pair
from federation.tensors import TensorFile, blocks_of, stream_adapter


def is_plain(state: Layout) -> bool:
    """Whether the state can be published as it is."""
    return not any(lora_factor(name) == "R" for name in state.tensors)


def publish(state: Path, target: Path) -> str:
    """Write the plain adapter that does to the model what the state does; returns its SHA-256."""
    with TensorFile(state) as file:
        tensors = file.layout.tensors
        shapes = {name: info.shape for name, info in tensors.items() if lora_factor(name) != "R"}
        return stream_adapter(target, shapes, _blocks(file, sorted(shapes)))


def _blocks(file: TensorFile, names: list[str]) -> Iterator[tuple[str, Tensor]]:
    for name in names:
        module = name.removesuffix(B_SUFFIX)
        if lora_factor(name) == "B" and file.holds(module + R_SUFFIX):
            yield name, read_pair(file, module).b
            continue
        for first, last in blocks_of(prod(file.layout.tensors[name].shape)):
            yield name, file.values(name, first, last)
