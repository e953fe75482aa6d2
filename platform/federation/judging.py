"""What each update of a round counts: its share, the bound on its norm, the rule's judgement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum

from federation.cohort import Cohort
from federation.method import Method
from federation.rules import Evidence, Weights
from federation.rules.base import in_proportion
from federation.strategies import AggregationRefused


@dataclass(frozen=True, slots=True)
class Judged:
    """The weights, and what they come from; `norms` are those before steps and bound."""

    weights: Weights
    norms: tuple[float, ...]
    bound: float | None
    clipped: tuple[str, ...]


def weights_of(cohort: Cohort, method: Method, evidence: Evidence | None) -> Judged:
    """Normalise steps, bound the norms, then have the rule judge what is left. Deterministic.

    A rule that judges gets equal shares: the number of examples is what a sender claims, and would
    make a liar as heavy as it likes.
    """
    norms = evidence.norms if evidence else [update.norm or 0.0 for update in cohort.updates]
    by_steps = step_factors(cohort) if method.normalise_steps else [1.0] * len(norms)
    steady = _products(norms, by_steps)
    bounds = method.clip.factors(steady)
    factors = _products(by_steps, bounds)
    shares = _heads(cohort.shares) if method.rule.needs_evidence else cohort.shares
    ruled = method.rule.weigh(evidence.scaled(factors) if evidence else None, shares)
    return Judged(
        weights=Weights(ruled.shares, tuple(_products(factors, ruled.factors))),
        norms=tuple(norms),
        bound=method.clip.limit(steady),
        clipped=tuple(d for d, factor in zip(cohort.digests, bounds, strict=True) if factor < 1),
    )


def step_factors(cohort: Cohort) -> list[float]:
    """What to multiply each change by so that all count as if as many steps had been taken.

    FedNova (Wang et al. 2020, arXiv:2007.07481): D = τ_eff Σ pᵢ Dᵢ / aᵢ with τ_eff = Σ pᵢ aᵢ, so
    a site that takes more steps does not pull the optimum its way. aᵢ is the number of steps, as
    for plain SGD; the paper's further terms for momentum, decay and the proximal term are left
    out, since they are about SGD, and our sites train with AdamW. The p are the shares of the
    examples. Sites say themselves how many steps they took, so the bound on the norm comes after.
    Exactly 1 where all took as many.
    """
    steps = [update.steps for update in cohort.updates]
    if min(steps) < 1:
        raise AggregationRefused("steps", "an update of no steps cannot be normalised by them")
    if len(set(steps)) == 1:
        return [1.0] * len(steps)
    effective = fsum(share * count for share, count in zip(cohort.shares, steps, strict=True))
    return [effective / count for count in steps]


def _products(left: Sequence[float], right: Sequence[float]) -> list[float]:
    return [a * b for a, b in zip(left, right, strict=True)]


def _heads(shares: tuple[float, ...]) -> tuple[float, ...]:
    """Equal shares for all that have one."""
    return in_proportion([float(share > 0) for share in shares])
