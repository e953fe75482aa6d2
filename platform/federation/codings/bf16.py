"""The upper half of fp32: 8 bits of exponent, 8 of precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from federation.codings.base import Coded, codecs


@codecs.register("bf16")
@dataclass(frozen=True, slots=True)
class BFloat16:
    """Rounded to nearest, ties to even: at most 2⁻⁹ of each value is lost, 0.17 % on average."""

    def encode(self, values: Tensor) -> Coded:
        return Coded(values.to(torch.bfloat16))

    def decode(self, coded: Coded, count: int) -> Tensor:
        return coded.codes[:count].float()
