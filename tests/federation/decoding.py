"""Coded updates written out as the weights that they stand for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from math import prod
from pathlib import Path

from torch import Tensor

from federation.layout import Chosen, Shape, everything, expected_shapes, lora_factor
from federation.sources import Source, open_update
from federation.tensors import TensorFile, blocks_of, stream_adapter


def decode_update(
    *,
    start: Path,
    update: Path,
    rank: int,
    codec: str,
    target: Path,
    travels: Chosen = everything,
) -> str:
    """Write the adapter that an update stands for; returns its SHA-256.

    `start` is the round's, at its full rank. Raises LayoutRefused where the update is not exactly
    what the codec makes of one trained at `rank`; its values are not looked at.
    """
    with (
        TensorFile(start) as base,
        closing(open_update(update, start=base, rank=rank, codec=codec, travels=travels)) as source,
    ):
        expected = expected_shapes(base.layout, rank)
        shapes = {name: shape for name, (_, shape) in expected.items()}
        return stream_adapter(target, shapes, _pieces(source, shapes))


def _pieces(source: Source, shapes: Mapping[str, Shape]) -> Iterator[tuple[str, Tensor]]:
    for name in sorted(shapes):
        if lora_factor(name):
            yield name, source.tensor(name)
            continue
        for first, last in blocks_of(prod(shapes[name])):
            yield name, source.values(name, first, last)
