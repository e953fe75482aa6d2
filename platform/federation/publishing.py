"""What a state is published as: plain LoRA, which peft loads without us.

A round's state is the file that agents start from. It may hold what plain LoRA has no place for:
a matrix R between fixed factors, or a residual beside a pair. Without such, it is published as it
is. A residual makes the published pair wider; its configuration says so, at the same LoRA scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from pathlib import Path

from torch import Tensor

from federation.layout import (
    A_SUFFIX,
    B_SUFFIX,
    R_SUFFIX,
    RESIDUAL_A,
    Layout,
    at_rank,
    is_residual,
    lora_factor,
    ranks_of,
    residual_rank,
)
from federation.pairs import beside
from federation.reading import read_pair, read_residual
from federation.tensors import TensorFile, blocks_of, stream_adapter


def is_plain(state: Layout) -> bool:
    """Whether the state can be published as it is."""
    return all(map(_is_plain, state.tensors))


def publish(state: Path, target: Path) -> str:
    """Write the plain adapter that does to the model what the state does; returns its SHA-256."""
    with TensorFile(state) as file:
        tensors = file.layout.tensors
        plain = {name: info for name, info in tensors.items() if _is_plain(name)}
        wider = ranks_of(file.layout).pop() + more if (more := residual_rank(file.layout)) else 0
        shapes = {n: at_rank(one, wider) if wider else one.shape for n, one in plain.items()}
        return stream_adapter(target, shapes, _blocks(file, sorted(shapes)))


def _is_plain(name: str) -> bool:
    return lora_factor(name) != "R" and not is_residual(name)


def _blocks(file: TensorFile, names: list[str]) -> Iterator[tuple[str, Tensor]]:
    for name in names:
        module = name.removesuffix(A_SUFFIX).removesuffix(B_SUFFIX)
        if file.holds(module + R_SUFFIX) or file.holds(module + RESIDUAL_A):
            pair, residual = read_pair(file, module), read_residual(file, module)
            whole = beside(pair, residual) if residual else pair
            yield name, whole.a if lora_factor(name) == "A" else whole.b
            continue
        for first, last in blocks_of(prod(file.layout.tensors[name].shape)):
            yield name, file.values(name, first, last)
