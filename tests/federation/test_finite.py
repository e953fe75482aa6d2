"""Values that are no numbers, by their bits, in every form in which they travel: cases 66 to 70."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from federation.codings.files import encode_update
from federation.engine import AggregationRefused, change_norm
from federation.layout import read_layout
from federation.tensors import BLOCK_VALUES, write_adapter

WIDE = BLOCK_VALUES + 4
A, B, HEAD = "m.lora_A.weight", "m.lora_B.weight", "classifier.weight"
BITS = {
    "66 NaN": ("fp32", 0x7FC00000),
    "66 NaN in BF16": ("bf16", 0x7FC0),
    "67 −Inf": ("fp32", 0xFF800000),
    "67 −Inf in BF16": ("bf16", 0xFF80),
    "68 signalling NaN": ("fp32", 0x7F800001),
    "68 negative signalling NaN": ("fp32", 0xFFBFFFFF),
    "68 signalling NaN in BF16": ("bf16", 0x7F81),
}
SIZES = {"fp32": 4, "bf16": 2}


@pytest.fixture
def start(tmp_path: Path) -> Path:
    ones = {A: torch.ones(2, 3), B: torch.ones(3, 2), HEAD: torch.ones(WIDE)}
    write_adapter(tmp_path / "start", ones.items())
    return tmp_path / "start"


def changed(start: Path, **values: torch.Tensor) -> Path:
    path = start.with_name("update")
    write_adapter(path, (load_file(start) | values).items())
    return path


def travelling(start: Path, codec: str) -> Path:
    """An update in its form on the wire."""
    update = changed(start, **{HEAD: torch.full((WIDE,), 1.5)})
    if codec == "fp32":
        return update
    target = start.with_name("coded")
    encode_update(start=start, update=update, codec=codec, target=target, feedback=None)
    return target


def norm(start: Path, update: Path, codec: str = "fp32") -> float:
    return change_norm(start=start, update=update, rank=2, scale=1.0, codec=codec)


@pytest.mark.parametrize(("codec", "bits"), BITS.values(), ids=BITS)
@pytest.mark.parametrize("place", [0, WIDE - 1], ids=["first", "last"])
def test_values_that_are_not_finite_are_refused(start, codec, bits, place):
    path, size = travelling(start, codec), SIZES[codec]
    assert norm(start, path, codec) > 0
    layout, data = read_layout(path), bytearray(path.read_bytes())
    at = layout.data_start + layout.tensors[HEAD].begin + place * size
    data[at : at + size] = bits.to_bytes(size, "little")
    path.write_bytes(data)
    with pytest.raises(AggregationRefused, match="holds NaN or infinity") as refused:
        norm(start, path, codec)
    assert refused.value.code == "non_finite"


@pytest.mark.parametrize("name", [A, B])
def test_so_are_they_in_a_factor(start, name):
    tensors = load_file(start)
    tensors[name].view(-1)[-1] = float("nan")
    save_file(tensors, start.with_name("update"), metadata={"format": "pt"})
    with pytest.raises(AggregationRefused, match="m holds NaN") as refused:
        norm(start, start.with_name("update"))
    assert refused.value.code == "non_finite"


def test_the_largest_finite_numbers_have_a_finite_norm(start):
    """Case 69: it is the norm bound, and the peers, that such an update has to fear."""
    largest = torch.finfo(torch.float32).max
    found = norm(start, changed(start, **{HEAD: torch.full((WIDE,), largest)}))
    assert found == pytest.approx(largest * WIDE**0.5)


def test_what_changes_nothing_has_no_norm(start):
    assert norm(start, changed(start)) == 0.0  # case 70
