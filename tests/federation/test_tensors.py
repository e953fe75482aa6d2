"""Bytes of adapters: written as the library writes them, read back, checked, cut."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save, save_file

from federation.layout import LayoutRefused, expected_shapes, read_layout
from federation.tensors import (
    BLOCK_VALUES,
    TensorFile,
    blocks_of,
    cut_rank,
    sha256_of,
    stream_adapter,
    write_adapter,
)
from tests.federation.adapters import HEAD, MODULE, adapter
from tests.strategies import random_pair, seeded

names = st.text("abcdefg_", min_size=1, max_size=8)
shapes = st.lists(st.integers(1, 5), max_size=4).map(tuple)


@given(layout=st.dictionaries(names, shapes, min_size=1, max_size=6), seed=st.integers(0, 99))
def test_an_adapter_is_written_as_the_library_writes_it(tmp_path_factory, layout, seed):
    path = tmp_path_factory.mktemp("adapter") / "adapter.safetensors"
    tensors = {name: torch.randn(shape, generator=seeded(seed)) for name, shape in layout.items()}
    digest = write_adapter(path, tensors.items())
    assert path.read_bytes() == save(tensors, metadata={"format": "pt"})
    assert digest == sha256_of(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_written_is_read_back(tmp_path):
    path, pair = tmp_path / "a", random_pair(seeded(1), 6, 5, 3)
    write_adapter(path, adapter(pair, head=torch.arange(12.0).reshape(3, 4)).items())
    with TensorFile(path) as file:
        torch.testing.assert_close(file.tensor(f"{MODULE}.lora_A.weight"), pair.a.float())
        torch.testing.assert_close(file.values(HEAD, 5, 9), torch.tensor([5.0, 6.0, 7.0, 8.0]))
    assert list(load_file(path)) == sorted(load_file(path))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_every_allowed_dtype_is_read(tmp_path, dtype):
    tensor = torch.randn(7, 3, generator=seeded(2)).to(dtype)
    save_file({"x": tensor}, tmp_path / "x")
    with TensorFile(tmp_path / "x") as file:
        assert torch.equal(file.tensor("x"), tensor)


def test_large_tensors_are_written_in_blocks(tmp_path):
    values = torch.randn(2 * BLOCK_VALUES + 5, generator=seeded(3))
    blocks = (("x", values[first:last]) for first, last in blocks_of(len(values)))
    digest = stream_adapter(tmp_path / "blocks", {"x": (len(values),)}, blocks)
    assert digest == write_adapter(tmp_path / "whole", [("x", values)])


@pytest.mark.parametrize(
    "blocks",
    [[], [("a", torch.zeros(2))], [("a", torch.zeros(4))], [("b", torch.zeros(3))]],
    ids=["nothing", "too few", "too many", "another name"],
)
def test_blocks_must_fill_what_was_announced(tmp_path, blocks):
    with pytest.raises(ValueError, match="values"):
        stream_adapter(tmp_path / "x", {"a": (3,)}, blocks)


def test_a_file_that_ends_while_it_is_read_is_refused(tmp_path):
    path = tmp_path / "a"
    write_adapter(path, [("x", torch.zeros(100))])
    with TensorFile(path) as file:
        path.write_bytes(path.read_bytes()[:-8])
        with pytest.raises(LayoutRefused, match="too_short"):
            file.tensor("x")


@given(rank=st.integers(1, 4), narrower=st.integers(1, 4))
def test_agg_7_cuts_nest(tmp_path_factory, rank, narrower):
    folder = tmp_path_factory.mktemp("cut")
    head = torch.randn(3, 6, generator=seeded(4))
    write_adapter(folder / "full", adapter(random_pair(seeded(5), 9, 6, 4), head=head).items())
    first, second = max(rank, narrower), min(rank, narrower)
    cut_rank(folder / "full", first, folder / "first")
    assert cut_rank(folder / "first", second, folder / "nested") == cut_rank(
        folder / "full", second, folder / "direct"
    )


def test_a_cut_keeps_the_leading_components_and_everything_else(tmp_path):
    pair, head = random_pair(seeded(6), 9, 6, 4), torch.randn(3, 6, generator=seeded(7))
    write_adapter(tmp_path / "full", adapter(pair, head=head).items())
    digest = cut_rank(tmp_path / "full", 2, tmp_path / "cut")
    tensors = load_file(tmp_path / "cut")
    assert digest == sha256_of(tmp_path / "cut")
    assert torch.equal(tensors[f"{MODULE}.lora_A.weight"], pair.a[:2].float())
    assert torch.equal(tensors[f"{MODULE}.lora_B.weight"], pair.b[:, :2].float())
    assert torch.equal(tensors[HEAD], head)
    expected = expected_shapes(read_layout(tmp_path / "full"), 2)
    found = read_layout(tmp_path / "cut").tensors
    assert {n: (t.dtype, t.shape) for n, t in found.items()} == expected


def test_a_cut_to_the_full_rank_is_the_same_file(tmp_path):
    digest = write_adapter(tmp_path / "full", adapter(random_pair(seeded(8), 5, 5, 3)).items())
    assert cut_rank(tmp_path / "full", 3, tmp_path / "cut") == digest


@pytest.mark.parametrize("rank", [0, -1, 4])
def test_a_cut_to_a_rank_that_is_not_there_is_refused(tmp_path, rank):
    write_adapter(tmp_path / "full", adapter(random_pair(seeded(9), 5, 5, 3)).items())
    with pytest.raises(LayoutRefused, match="shape_mismatch"):
        cut_rank(tmp_path / "full", rank, tmp_path / "cut")
