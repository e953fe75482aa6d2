"""What each update of a round counts: its share, the bound on its norm, the rule's judgement."""

from __future__ import annotations

from dataclasses import dataclass

from federation.cohort import Cohort
from federation.method import Method
from federation.rules import Evidence, Weights


@dataclass(frozen=True, slots=True)
class Judged:
    """The weights, and what they come from; `norms` are those before the bound."""

    weights: Weights
    norms: tuple[float, ...]
    bound: float | None
    clipped: tuple[str, ...]


def weights_of(cohort: Cohort, method: Method, evidence: Evidence | None) -> Judged:
    """Bound the norms, then have the rule judge what is left. Deterministic."""
    norms = evidence.norms if evidence else [update.norm or 0.0 for update in cohort.updates]
    factors = method.clip.factors(norms)
    ruled = method.rule.weigh(evidence.scaled(factors) if evidence else None, cohort.shares)
    both = tuple(c * f for c, f in zip(factors, ruled.factors, strict=True))
    return Judged(
        weights=Weights(ruled.shares, both),
        norms=tuple(norms),
        bound=method.clip.limit(norms),
        clipped=tuple(d for d, factor in zip(cohort.digests, factors, strict=True) if factor < 1),
    )
