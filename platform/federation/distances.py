"""How far two adapters over one base are from each other, in what they do to it.

Low-rank pairs are compared as the matrices that they add to the base, scaled as their plan says:
many pairs express the same change, and a module that only one adapter has is a change of zero in
the other. All other tensors (heads, full weights, learnt tokens) are compared value by value.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import fsum, prod
from pathlib import Path

from torch import Tensor

from federation.layout import is_residual, lora_factor, modules_of
from federation.pairs import Pair, beside, inner
from federation.reading import read_pair, read_residual
from federation.tensors import TensorFile, blocks_of


@dataclass(frozen=True, slots=True)
class Products:
    """Squared norms of both, and their inner product."""

    left: float
    right: float
    both: float


@dataclass(frozen=True, slots=True)
class Adapter:
    """A stored state, and what its plan multiplies B·A by."""

    path: Path
    scale: float


def products(left: Adapter, right: Adapter) -> tuple[Products, Products]:
    """Of the low-rank changes over all modules, and of all other tensors as they are.

    One module, or one block of values, is in memory at a time. Raises LayoutRefused.
    """
    with TensorFile(left.path) as one, TensorFile(right.path) as other:
        changes = [
            _of_module(one, other, module, left.scale, right.scale)
            for module in sorted(modules_of(one.layout) | modules_of(other.layout))
        ]
        values = [_of_tensor(one, other, name) for name in sorted(_plain(one) | _plain(other))]
    return _summed(changes), _summed(values)


def _summed(parts: list[Products]) -> Products:
    return Products(
        fsum(one.left for one in parts),
        fsum(one.right for one in parts),
        fsum(one.both for one in parts),
    )


def _of_module(
    one: TensorFile, other: TensorFile, module: str, scale: float, other_scale: float
) -> Products:
    left, right = _whole(one, module), _whole(other, module)
    are_alike = left is not None and right is not None and left.size == right.size
    return Products(
        scale**2 * inner(left, left) if left else 0.0,
        other_scale**2 * inner(right, right) if right else 0.0,
        scale * other_scale * inner(left, right) if left and right and are_alike else 0.0,
    )


def _whole(file: TensorFile, module: str) -> Pair | None:
    """A module's pair with its residual; None where the adapter leaves the module alone."""
    if module not in modules_of(file.layout):
        return None
    pair, residual = read_pair(file, module), read_residual(file, module)
    return beside(pair, residual) if residual else pair


def _plain(file: TensorFile) -> set[str]:
    names = file.layout.tensors
    return {name for name in names if lora_factor(name) is None and not is_residual(name)}


def _of_tensor(one: TensorFile, other: TensorFile, name: str) -> Products:
    shapes = [f.layout.tensors[name].shape if f.holds(name) else None for f in (one, other)]
    are_alike = shapes[0] == shapes[1]
    return Products(
        _dot(one, one, name) if shapes[0] is not None else 0.0,
        _dot(other, other, name) if shapes[1] is not None else 0.0,
        _dot(one, other, name) if are_alike else 0.0,
    )


def _dot(one: TensorFile, other: TensorFile, name: str) -> float:
    count = prod(one.layout.tensors[name].shape)
    return fsum(
        float(_block(one, name, *place) @ _block(other, name, *place)) for place in blocks_of(count)
    )


def _block(file: TensorFile, name: str, first: int, last: int) -> Tensor:
    return file.values(name, first, last).double()
