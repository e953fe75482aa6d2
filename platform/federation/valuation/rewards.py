"""A budget in whole credits, split by what was contributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from hashlib import sha256
from math import floor, isfinite, sqrt

MOST_RHO = 4.0


@dataclass(frozen=True, slots=True)
class RewardRule:
    """How a budget is split.

    `floor`: the share of the budget that all who took part get in equal parts, whatever they
    contributed. The rest is shared by max(φ, 0) to the power of `rho`: 1 in proportion, 0 equally
    among all who helped, above 1 more for those who helped most. `hold_back`: the share of each
    one's credits that is paid later, if audits stay clean.

    `rho` is a multiple of ½: then only roots and products are taken, which every machine rounds
    alike. Raises ValueError for what is no such rule.
    """

    rho: float = 1.0
    floor: float = 0.0
    hold_back: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.rho <= MOST_RHO and 2 * self.rho % 1 == 0):
            raise ValueError(f"rho is 0, 0.5, 1 … {MOST_RHO}, not {self.rho}")
        if not (0 <= self.floor <= 1 and 0 <= self.hold_back <= 1):
            raise ValueError("floor and hold-back are shares from 0 to 1")

    def weight(self, phi: float) -> Fraction:
        """What a contribution counts. Negative ones count nothing: they cost no credits."""
        if phi <= 0 or not isfinite(phi):
            return Fraction(0)
        whole, half = divmod(round(2 * self.rho), 2)
        return Fraction(phi) ** whole * (Fraction(sqrt(phi)) if half else 1)


@dataclass(frozen=True, slots=True)
class Split:
    """Whole credits of each: paid now, and held back. `left` goes to nobody, and stays.

    They all add up to the budget.
    """

    paid: Mapping[str, int]
    held: Mapping[str, int]
    left: int = 0

    def of(self, player: str) -> int:
        """What a player gets altogether."""
        return self.paid[player] + self.held[player]


def credits_of(budget: int, phis: Mapping[str, float], rule: RewardRule, seed: str = "") -> Split:
    """Split a budget by contributions; the same inputs give the same credits, in any order.

    Where nobody helped, only the floor is paid, and the rest of the budget is left. Equal
    remainders are decided by the SHA-256 of seed and player, so that it is not always the same one
    who gets the odd credit. ValueError for a negative budget.
    """
    if budget < 0:
        raise ValueError(f"a budget of {budget} cannot be split")
    weights = {player: rule.weight(phi) for player, phi in sorted(phis.items())}
    together, of_floor = sum(weights.values()), _exact(rule.floor)
    spent = budget if together > 0 else floor(budget * of_floor)
    shares = {
        player: of_floor / len(phis) + ((1 - of_floor) * weight / together if together > 0 else 0)
        for player, weight in weights.items()
    }
    whole = largest_remainder(spent, shares, seed)
    held = {player: floor(count * _exact(rule.hold_back)) for player, count in whole.items()}
    paid = {player: count - held[player] for player, count in whole.items()}
    return Split(paid, held, budget - sum(whole.values()))


def largest_remainder(total: int, weights: Mapping[str, Fraction], seed: str) -> dict[str, int]:
    """Whole numbers in proportion to the weights that add up to the total (Hamilton's method).

    All 0 where no weight is above 0.
    """
    together = sum(weights.values())
    if together == 0:
        return dict.fromkeys(weights, 0)
    quotas = {player: total * weight / together for player, weight in weights.items()}
    found = {player: floor(quota) for player, quota in quotas.items()}

    def turn(player: str) -> tuple[Fraction, bytes]:
        remainder = quotas[player] - found[player]
        return -remainder, sha256(f"{seed}/{player}".encode()).digest()

    for player in sorted(weights, key=turn)[: total - sum(found.values())]:
        found[player] += 1
    return found


def _exact(share: float) -> Fraction:
    """The decimal that is written, which a float only comes near: a tenth of ten is one."""
    return Fraction(repr(float(share)))
