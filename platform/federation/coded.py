"""What a coded update looks like: the layout of its file, and its length to the byte.

An update that is not sent as it is holds the change against the round's start, tensor by tensor in
the codec's form: the codes under the tensor's name, and one fp32 scale for each block of 64 values
under the name with `.scales` behind it. The file is a strict safetensors file whose tensors lie in
the library's order (wider values first, then by name). Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import MappingProxyType
from typing import Final

from federation.layout import (
    ITEM_BYTES,
    Chosen,
    Layout,
    LayoutRefused,
    Shape,
    check_layout,
    everything,
    expected_shapes,
    header_of,
    read_layout,
)

PLAIN: Final = "fp32"  # the name of no codec: the trained weights themselves
BLOCK: Final = 64  # values that share a scale
SCALES: Final = ".scales"
CODED_ITEM_BYTES = MappingProxyType({**ITEM_BYTES, "I8": 1, "U8": 1})

Expected = Mapping[str, tuple[str, Shape]]


@dataclass(frozen=True, slots=True)
class Form:
    """What a codec makes of a tensor: codes of a dtype, so many values in one, scales or none.

    `has_feedback`: it loses so much that what one round lost is sent with the next.
    """

    dtype: str
    values_per_code: int = 1
    has_scales: bool = False
    has_feedback: bool = False

    @property
    def bits_per_value(self) -> float:
        code = 8 * CODED_ITEM_BYTES[self.dtype] / self.values_per_code
        return code + (8 * ITEM_BYTES["F32"] / BLOCK if self.has_scales else 0.0)

    def codes(self, shape: Shape) -> tuple[str, Shape]:
        """Dtype and shape of a tensor's codes; packed ones have lost the tensor's shape."""
        packed = (-(-prod(shape) // self.values_per_code),)
        return self.dtype, shape if self.values_per_code == 1 else packed


FORMS: Mapping[str, Form] = MappingProxyType(
    {
        "bf16": Form("BF16"),
        "int8": Form("I8", has_scales=True),
        "nf4": Form("U8", values_per_code=2, has_scales=True, has_feedback=True),
    }
)


def bits_per_value(codec: str) -> float:
    """How many bits one value of an update takes on its way."""
    return 8.0 * ITEM_BYTES["F32"] if codec == PLAIN else FORMS[codec].bits_per_value


def has_feedback(codec: str) -> bool:
    return codec != PLAIN and FORMS[codec].has_feedback


def coded_shapes(expected: Expected, codec: str) -> dict[str, tuple[str, Shape]]:
    """What `expected` becomes in the codec's form, in the order in which it lies in the file."""
    form = FORMS[codec]
    found = {name: form.codes(shape) for name, (_, shape) in expected.items()}
    if form.has_scales:
        scales = {f"{name}{SCALES}": _scales(shape) for name, (_, shape) in expected.items()}
        if both := found.keys() & scales.keys():
            raise LayoutRefused("name", f"{min(both)} would be both values and scales")
        found |= scales
    return dict(sorted(found.items(), key=_place))


def coded_header(expected: Expected, codec: str) -> bytes:
    """The beginning of a coded file; its metadata says what the rest is."""
    return header_of(coded_shapes(expected, codec), _metadata(codec), CODED_ITEM_BYTES)


def coded_bytes(expected: Expected, codec: str) -> int:
    """The length of a coded file, header and all."""
    tensors = coded_shapes(expected, codec).values()
    values = sum(prod(shape) * CODED_ITEM_BYTES[dtype] for dtype, shape in tensors)
    return len(coded_header(expected, codec)) + values


def check_update(
    path: Path, *, start: Layout, rank: int, codec: str, travels: Chosen = everything
) -> Layout:
    """The layout of an update trained from `start` at `rank`, in the codec's form.

    `travels`: what an update of its round holds. Raises LayoutRefused for any difference from what
    it must be. The values are not read.
    """
    expected = expected_shapes(start, rank, travels)
    if codec == PLAIN:
        layout = read_layout(path)
        check_layout(layout, expected)
        return layout
    layout = read_layout(path, CODED_ITEM_BYTES)
    if dict(layout.metadata) != _metadata(codec):
        raise LayoutRefused("codec_mismatch", f"this is not a change in {codec}")
    check_layout(layout, coded_shapes(expected, codec))
    return layout


def _scales(shape: Shape) -> tuple[str, Shape]:
    return "F32", (-(-prod(shape) // BLOCK),)


def _place(tensor: tuple[str, tuple[str, Shape]]) -> tuple[int, str]:
    name, (dtype, _) = tensor
    return -CODED_ITEM_BYTES[dtype], name


def _metadata(codec: str) -> dict[str, str]:
    return {"codec": codec, "holds": "change"}
