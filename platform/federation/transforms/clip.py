"""Norm clipping: no update may move the model further than a bound."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from federation.transforms.base import transforms

MEDIANS = 4.0  # without a bound of the plan: so many medians of the round
FEWEST = 3  # updates that make a median worth trusting


@transforms.register("clip")
@dataclass(frozen=True, slots=True)
class NormClip:
    """Scales updates whose norm exceeds the bound down to it (Sun et al. 2019, arXiv:1911.07963).

    The norms are those of the change of the model, s·BA − s·B₀A₀ for LoRA pairs, which
    `pairs.norm` gets from r × r products: a clip on the factors would be evaded by rescaling them.
    """

    bound: float | None = None  # None: four medians of the round, from three updates on

    def __post_init__(self) -> None:
        if self.bound is not None and not self.bound > 0:
            raise ValueError(f"bound {self.bound} is not above 0")

    def limit(self, norms: Sequence[float]) -> float | None:
        """The bound in force for updates of these norms; None where there is none."""
        if self.bound is not None:
            return self.bound
        if len(norms) < FEWEST:
            return None
        return MEDIANS * median(norms) or None  # half the round did nothing: no measure

    def factors(self, norms: Sequence[float]) -> list[float]:
        """What to multiply each change by; 1.0 for all within the bound."""
        limit = self.limit(norms)
        if limit is None:
            return [1.0] * len(norms)
        return [limit / norm if norm > limit else 1.0 for norm in norms]
