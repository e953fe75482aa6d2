"""Distances between adapters, against the matrices that they stand for."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from federation.distances import Adapter, products
from federation.layout import A_SUFFIX, B_SUFFIX, R_SUFFIX, RESIDUAL_A, RESIDUAL_B
from federation.tensors import write_adapter

SHAPES = {"model.q": (6, 5), "model.v": (4, 7)}


def factors(seed: int, *, rank: int, modules: tuple[str, ...] = ("model.q", "model.v")):
    random = torch.Generator().manual_seed(seed)
    found: dict[str, Tensor] = {"classifier.weight": torch.randn(2, 5, generator=random)}
    for name in modules:
        high, wide = SHAPES[name]
        found[name + A_SUFFIX] = torch.randn(rank, wide, generator=random)
        found[name + B_SUFFIX] = torch.randn(high, rank, generator=random)
    return found


def written(folder: Path, tensors: dict[str, Tensor], name: str, scale: float = 1.0) -> Adapter:
    path = folder / f"{name}.safetensors"
    write_adapter(path, sorted(tensors.items()))
    return Adapter(path, scale)


def dense(tensors: dict[str, Tensor], scale: float) -> Tensor:
    """All changes as one long vector; what an adapter leaves alone is zero."""
    parts = []
    for name, size in SHAPES.items():
        b, a = (tensors.get(name + end) for end in (B_SUFFIX, A_SUFFIX))
        whole = torch.zeros(size, dtype=torch.float64)
        if a is not None and b is not None:
            middle = tensors.get(name + R_SUFFIX, torch.eye(b.shape[1]))
            whole = scale * b.double() @ middle.double() @ a.double()
        if name + RESIDUAL_A in tensors:
            extra = tensors[name + RESIDUAL_B].double() @ tensors[name + RESIDUAL_A].double()
            whole = whole + scale * extra
        parts.append(whole.flatten())
    return torch.cat(parts)


def check(found, left: Tensor, right: Tensor) -> None:
    expected = (left @ left, right @ right, left @ right)
    for ours, theirs in zip((found.left, found.right, found.both), expected, strict=True):
        assert math.isclose(ours, float(theirs), rel_tol=1e-9, abs_tol=1e-9)


@given(seed=st.integers(0, 2**16), ranks=st.tuples(st.integers(1, 6), st.integers(1, 6)))
def test_products_are_those_of_the_matrices(tmp_path_factory, seed, ranks):
    folder = tmp_path_factory.mktemp("pairs")
    one, other = factors(seed, rank=ranks[0]), factors(seed + 1, rank=ranks[1])
    change, values = products(
        written(folder, one, "one", 2.0), written(folder, other, "other", 0.5)
    )
    check(change, dense(one, 2.0), dense(other, 0.5))
    heads = (t["classifier.weight"].double().flatten() for t in (one, other))
    check(values, *heads)


def test_equal_changes_in_other_factors_are_no_distance(tmp_path):
    one = factors(1, rank=2)
    turn = torch.tensor([[2.0, 1.0], [0.0, 0.5]])
    other = dict(one)
    for name in SHAPES:
        other[name + B_SUFFIX] = one[name + B_SUFFIX] @ turn
        other[name + A_SUFFIX] = torch.linalg.inv(turn) @ one[name + A_SUFFIX]
    found, _ = products(written(tmp_path, one, "one"), written(tmp_path, other, "other"))
    assert math.isclose(found.left + found.right - 2 * found.both, 0.0, abs_tol=1e-4 * found.left)


def test_a_module_of_one_alone_is_a_change_of_zero_in_the_other(tmp_path):
    one, other = factors(1, rank=2), factors(2, rank=2, modules=("model.q",))
    found, _ = products(written(tmp_path, one, "one"), written(tmp_path, other, "other"))
    check(found, dense(one, 1.0), dense(other, 1.0))


def test_residuals_and_middles_count(tmp_path):
    one, other = factors(1, rank=2), factors(2, rank=2)
    for name, (high, wide) in SHAPES.items():
        one |= {name + RESIDUAL_A: torch.ones(3, wide), name + RESIDUAL_B: torch.ones(high, 3)}
        other[name + R_SUFFIX] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    found, _ = products(written(tmp_path, one, "one", 3.0), written(tmp_path, other, "other", 2.0))
    check(found, dense(one, 3.0), dense(other, 2.0))


@pytest.mark.parametrize("shape", [(3, 5), (2, 6)])
def test_tensors_of_other_shapes_have_nothing_in_common(tmp_path, shape):
    one, other = factors(1, rank=2), factors(2, rank=2)
    other["classifier.weight"] = torch.ones(shape)
    _, values = products(written(tmp_path, one, "one"), written(tmp_path, other, "other"))
    assert values.both == 0.0
    assert values.right == math.prod(shape)
