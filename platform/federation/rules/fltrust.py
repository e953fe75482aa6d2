"""FLTrust: trust in proportion to how far an update agrees with one that is known to be good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from federation.breakdown import TRUSTED, Breakdown, Guard
from federation.rules.base import Evidence, Weights, counted, in_proportion, rules


@rules.register("fltrust")
@dataclass(frozen=True, slots=True)
class FLTrust(Guard):
    """Weights ReLU(cos(Δᵢ, Δ₀)), and every change as long as the root's Δ₀.

    Cao et al. 2020, arXiv:2012.13995. The root is an update that was trained on a small clean set,
    and itself only judges. Where nothing agrees with it, the model stays. The paper reports 40 %
    of liars that know the rule to more than 90 % that do not; what is promised here is the 40 %.
    """

    breakdown: ClassVar[Breakdown] = TRUSTED
    needs_evidence: ClassVar[bool] = True
    needs_root: ClassVar[bool] = True

    def weigh(self, evidence: Evidence | None, shares: Sequence[float]) -> Weights:
        assert evidence is not None
        root = evidence.root
        assert root is not None
        trust, factors = [0.0] * len(shares), [1.0] * len(shares)
        for one in counted(shares):
            agreement = evidence.cosine(one, root)
            if one == root or agreement <= 0:
                continue
            trust[one] = shares[one] * agreement
            factors[one] = evidence.norm(root) / evidence.norm(one)
        return Weights(in_proportion(trust), tuple(factors))
