"""Four bits a value: the levels of a normal distribution, scaled to each block."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from federation.codings.base import Coded, codecs, in_blocks

# NormalFloat4 (Dettmers et al. 2023, arXiv:2305.14314, appendix E), rounded to fp32.
LEVELS = (
    *(-1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453),
    *(-0.28444138169288635, -0.18477343022823334, -0.09105003625154495, 0.0),
    *(0.07958029955625534, 0.16093020141124725, 0.24611230194568634, 0.33791524171829224),
    *(0.44070982933044434, 0.5626170039176941, 0.7229568362236023, 1.0),
)
_ZERO = LEVELS.index(0.0)


@codecs.register("nf4")
@dataclass(frozen=True, slots=True)
class NormalFloat4:
    """The nearest of sixteen levels; two codes in a byte, the first one in its upper half.

    About a tenth of an update is lost, so what is lost in one round is sent with the next
    (`Feedback`).
    """

    def encode(self, values: Tensor) -> Coded:
        blocks, levels = in_blocks(values), torch.tensor(LEVELS)
        scales = blocks.abs().amax(1)
        steps = torch.where(scales > 0, scales, torch.inf)
        between = (levels[1:] + levels[:-1]) / 2
        codes = torch.bucketize(blocks / steps[:, None], between).to(torch.uint8).view(-1)
        codes = codes[: len(values) + len(values) % 2]
        codes[len(values) :] = _ZERO  # what fills the last byte
        return Coded(codes[0::2] * 16 + codes[1::2], scales)

    def decode(self, coded: Coded, count: int) -> Tensor:
        assert coded.scales is not None
        codes = torch.stack([coded.codes >> 4, coded.codes & 15], dim=1).view(-1)
        values = in_blocks(torch.tensor(LEVELS)[codes.int()]) * coded.scales[:, None]
        return values.view(-1)[:count]
