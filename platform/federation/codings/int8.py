"""Eight bits a value, a scale a block: block-wise quantisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from federation.codings.base import Coded, codecs, in_blocks

_LARGEST = 127


@codecs.register("int8")
@dataclass(frozen=True, slots=True)
class Int8:
    """Symmetric, the largest value of each block at 127 (Dettmers et al. 2022, arXiv:2110.02861).

    Uniform steps here, where the paper has dynamic ones: changes of adapters have no long tails
    within 64 values, and uniform steps lose less on what is left.
    """

    def encode(self, values: Tensor) -> Coded:
        blocks = in_blocks(values)
        scales = blocks.abs().amax(1) / _LARGEST
        # A block of zeros has the scale 0, and so has one that is too small for a scale.
        steps = torch.where(scales > 0, scales, torch.inf)
        codes = (blocks / steps[:, None]).round().clamp(-_LARGEST, _LARGEST).to(torch.int8)
        return Coded(codes.view(-1)[: len(values)], scales)

    def decode(self, coded: Coded, count: int) -> Tensor:
        assert coded.scales is not None
        values = in_blocks(coded.codes.float()) * coded.scales[:, None]
        return values.view(-1)[:count]
