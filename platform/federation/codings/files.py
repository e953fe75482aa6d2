"""Updates coded and decoded from file to file, a block at a time."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from heapq import merge
from math import isfinite, prod
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from federation.coded import (
    BLOCK,
    CODED_ITEM_BYTES,
    FORMS,
    SCALES,
    Expected,
    coded_bytes,
    coded_header,
)
from federation.codings.base import Coded, codecs
from federation.layout import (
    Chosen,
    Layout,
    LayoutRefused,
    Shape,
    check_layout,
    everything,
    lora_factor,
    parse_header,
    read_layout,
)
from federation.tensors import TensorFile, blocks_of, norm_of, stream_adapter


@dataclass(frozen=True, slots=True)
class Feedback:
    """Error feedback (Seide et al. 2014; Karimireddy et al. 2019, arXiv:1901.09847).

    `carried`: what earlier rounds left, if there is any; `left`: where to write what this one
    leaves. Both hold fp32 tensors under the update's names. A strategy that lays the factors anew
    in every round does not keep their basis: to add to them what was lost in other directions
    would be noise, so then only tensors that are no factors are carried over.
    """

    carried: Path | None
    left: Path
    keeps_basis: bool

    def holds(self, name: str) -> bool:
        return self.keeps_basis or lora_factor(name) is None


def encode_update(
    *,
    start: Path,
    update: Path,
    codec: str,
    target: Path,
    feedback: Feedback | None = None,
    travels: Chosen = everything,
) -> None:
    """Write the change from `start` to `update` in the codec's form; the same again is the same.

    `start` is cut to the update's rank already; `travels`: what of it the update holds. Raises
    LayoutRefused where the files do not fit together or hold NaN or infinity.
    """
    with ExitStack() as files:
        old = files.enter_context(TensorFile(start))
        chosen = (tensor for tensor in old.layout.tensors.values() if travels(tensor.name))
        expected = {tensor.name: (tensor.dtype, tensor.shape) for tensor in chosen}
        new = files.enter_context(_fitting(update, expected))
        carried = feedback.carried if feedback else None
        more = files.enter_context(TensorFile(carried)) if carried else None
        writer = _writer(files.enter_context(target.open("wb")), expected, codec)
        lost = _encoded(_Change(old, new, more), codec, writer)
        if feedback is None:
            deque(lost, maxlen=0)
            return
        shapes = {name: s for name, (_, s) in expected.items() if feedback.holds(name)}
        new_losses = (one for one in lost if one[0] in shapes)
        waiting = _waiting(more, expected)
        losses = merge(new_losses, _blocks(more, waiting), key=itemgetter(0))
        stream_adapter(feedback.left, shapes | waiting, losses)


def _waiting(carried: TensorFile | None, expected: Expected) -> dict[str, Shape]:
    """What was carried over of tensors that do not travel this time, and may the next."""
    tensors = carried.layout.tensors if carried else {}
    return {name: info.shape for name, info in tensors.items() if name not in expected}


def _blocks(
    carried: TensorFile | None, shapes: Mapping[str, Shape]
) -> Iterator[tuple[str, Tensor]]:
    if carried is None:
        return
    for name in sorted(shapes):
        for first, last in blocks_of(prod(shapes[name])):
            yield name, carried.values(name, first, last)


def _fitting(path: Path, expected: Expected) -> TensorFile:
    layout = read_layout(path)
    check_layout(layout, expected)
    return TensorFile(path, layout)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Puts codes and scales where the layout has them; they come together and lie far apart."""

    file: BinaryIO
    layout: Layout

    def write(self, name: str, first: int, values: Tensor) -> None:
        """Write a tensor's values from the one with number `first` on."""
        info = self.layout.tensors[name]
        place = self.layout.data_start + info.begin + first * CODED_ITEM_BYTES[info.dtype]
        data = values.contiguous().view(torch.uint8).numpy().data
        while data:
            written = os.pwrite(self.file.fileno(), data, place)
            data, place = data[written:], place + written


def _writer(file: BinaryIO, expected: Expected, codec: str) -> _Writer:
    """Write the header, and make ready for the rest."""
    head = coded_header(expected, codec)
    file.write(head)
    file.flush()
    return _Writer(file, parse_header(head, coded_bytes(expected, codec), CODED_ITEM_BYTES))


@dataclass(frozen=True, slots=True)
class _Change:
    """From one file to another, and what is carried over where it has the same shape."""

    start: TensorFile
    update: TensorFile
    carried: TensorFile | None

    def values(self, name: str, first: int, last: int) -> Tensor:
        before = self.start.values(name, first, last)
        change = self.update.values(name, first, last).double() - before
        more = self.carried.layout.tensors.get(name) if self.carried else None
        if self.carried and more and more.shape == self.start.layout.tensors[name].shape:
            change += self.carried.values(name, first, last)
        if not isfinite(norm_of(change.float())):
            raise LayoutRefused("non_finite", f"{name} holds NaN or infinity")
        return change


def _encoded(change: _Change, codec: str, writer: _Writer) -> Iterator[tuple[str, Tensor]]:
    """Write everything in the codec's form; yields what each block lost."""
    coder, each = codecs[codec](), FORMS[codec].values_per_code
    for name in sorted(change.update.layout.tensors):
        for first, last in blocks_of(prod(change.start.layout.tensors[name].shape)):
            values = change.values(name, first, last)
            coded = coder.encode(values.float())
            writer.write(name, first // each, coded.codes)
            if coded.scales is not None:
                writer.write(f"{name}{SCALES}", first // BLOCK, coded.scales)
            yield name, values - coder.decode(coded, last - first)


def decoded(file: TensorFile, name: str, first: int, last: int, codec: str) -> Tensor:
    """The change of the values [first, last) of a tensor; `first` is where a block begins."""
    return codecs[codec]().decode(_piece(file, name, first, last, codec), last - first)


def _piece(file: TensorFile, name: str, first: int, last: int, codec: str) -> Coded:
    """The codes and scales of some values, which begin with a block."""
    form = FORMS[codec]
    each = form.values_per_code
    codes = file.values(name, first // each, -(-last // each))
    if not form.has_scales:
        return Coded(codes)
    return Coded(codes, file.values(f"{name}{SCALES}", first // BLOCK, -(-last // BLOCK)))
