"""What every codec is, and where codecs are found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from federation.coded import BLOCK
from federation.registry import Registry


@dataclass(frozen=True, slots=True)
class Coded:
    """Some values in a codec's form: flat codes, and a fp32 scale for each block of 64 or none."""

    codes: Tensor
    scales: Tensor | None = None


class Codec(Protocol):
    """Codes flat fp32 values; a number that is coded anew gives the same bytes.

    All but the last piece of a tensor have a whole number of blocks, so pieces are coded on their
    own. What a tensor becomes is in `coded.FORMS`, under the codec's name.
    """

    def encode(self, values: Tensor) -> Coded:
        """Finite fp32 values in, codes out."""
        ...

    def decode(self, coded: Coded, count: int) -> Tensor:
        """`count` fp32 values; NaN and infinity where the scales of a stranger's file hold them."""
        ...


codecs: Registry[type[Codec]] = Registry("codec")


def in_blocks(values: Tensor) -> Tensor:
    """Flat values as rows of 64, the last one filled up with zeros."""
    missing = -len(values) % BLOCK
    return torch.nn.functional.pad(values, (0, missing)).view(-1, BLOCK)
