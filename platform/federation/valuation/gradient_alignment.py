"""How far a player goes down the slope of the loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.valuation.base import Evidence, Summed, valuations
from federation.valuation.singles import Singles


@valuations.register("gradient_alignment")
@dataclass(frozen=True, slots=True)
class GradientAlignment(Singles, Summed):
    """φᵢ = −⟨∇L(w), pᵢ ΔWᵢ⟩, the first order of what a player adds.

    DIG-FL (Wang et al. 2022) and in-run Shapley (Wang et al. 2024, arXiv:2406.11011), of a round's
    changes in place of single steps. One pass over the probe for all players; where changes are
    large it promises more than they bring.
    """

    evidence: ClassVar[Evidence] = "slopes"
