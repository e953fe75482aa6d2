"""One factor frozen for good: the other one is averaged, and that is exact."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.strategies.base import strategies


@strategies.register("ffa")
@dataclass(frozen=True, slots=True)
class Ffa:
    """A stays what it was at the start, B is trained and averaged.

    FFA-LoRA (Sun et al. 2024, arXiv:2403.12313). With one A for all, Σ pᵢ BᵢA = (Σ pᵢ Bᵢ)A: the
    mean of the factors is the mean of the changes, half of the bytes travel, and noise on B stays
    linear in the model. The price is that the input directions are those that A was drawn with.
    """

    averages_factors: ClassVar[bool] = True
    keeps_basis: ClassVar[bool] = True
