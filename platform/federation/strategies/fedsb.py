"""Two fixed factors and a small matrix between them, which alone is trained and averaged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.strategies.base import strategies


@strategies.register("fedsb")
@dataclass(frozen=True, slots=True)
class FedSb:
    """ΔW = s·B₀·R·A₀ with fixed B₀ and A₀; R, of r × r values, is averaged.

    Fed-SB (Singhal et al. 2025, arXiv:2502.15436). Σ pᵢ B₀RᵢA₀ = B₀(Σ pᵢ Rᵢ)A₀, so the mean of R is
    the mean of the changes; an update has r² values for each matrix, however large the matrix and
    however many take part. We differ from the paper in the fixed factors: there they come from the
    gradient of the first step on data of the sites, here they are orthonormal and drawn from the
    plan's seed, so that no site has to show a gradient. R begins with zero. As the factors have
    length one, R moves the model less than B does in LoRA: it takes ranks and learning rates some
    times larger. What is published is the pair (B₀·R, A₀).
    """

    averages_factors: ClassVar[bool] = True
    keeps_basis: ClassVar[bool] = True
