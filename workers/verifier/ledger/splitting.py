"""Whether credits follow from values: by the rule, in whole numbers, to the last one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor, fsum, isclose, sqrt
from typing import Any

from verifier.faults import Wrong

Values = Mapping[str, float]
Cluster = tuple[frozenset[str], frozenset[int] | None]  # who shares one value, in which rounds
Round = tuple[int, Values]  # its number, and what everybody's contribution to it was worth


@dataclass(frozen=True, slots=True)
class Split:
    paid: Mapping[str, int]
    held: Mapping[str, int]
    left: int


def check_credits(payload: Mapping[str, Any], rounds: Sequence[Round]) -> Split:
    """Raise Wrong unless an entry's credits follow from the values of its valuations."""
    suspects = {one["participation"]: frozenset(one["rounds"]) for one in payload["suspects"]}
    values = summed(rounds, [_cluster(one) for one in payload["clusters"]], suspects)
    said = {one["participation"]: one for one in payload["credits"]}
    if said.keys() != values.keys():
        raise Wrong("the credits are of others than those who were valued")
    split = split_of(payload["budget"], values, payload["rule"], payload["seed"])
    for player, value in values.items():
        told = said[player]
        if not isclose(told["value"], value, rel_tol=1e-9, abs_tol=1e-12):
            raise Wrong(f"the value of {player} is {told['value']}, and {value} follows")
        due = (split.paid[player], split.held[player])
        if (told["paid"], told["held"]) != due:
            raise Wrong(f"{player} gets {told['paid']} and {told['held']}, and {due} follow")
    if payload["left"] != split.left:
        raise Wrong(f"{payload['left']} credits are left, and {split.left} follow")
    return split


def _cluster(said: Mapping[str, Any] | Sequence[str]) -> Cluster:
    """Entries of before 2026-11-23 name no rounds: they meant all."""
    if isinstance(said, Mapping):
        return frozenset(said["participations"]), frozenset(said["rounds"])
    return frozenset(said), None


def summed(
    rounds: Sequence[Round],
    clusters: Sequence[Cluster],
    suspects: Mapping[str, frozenset[int]],
) -> dict[str, float]:
    """Values over rounds. Who brought the same shares the highest of theirs, where not before.

    Suspects have none of the rounds in which they were noticed.
    """
    adjusted = [_adjusted(number, values, clusters, suspects) for number, values in rounds]
    players = sorted({player for values in adjusted for player in values})
    return {
        player: fsum(values[player] for values in adjusted if player in values)
        for player in players
    }


def _adjusted(
    number: int,
    values: Values,
    clusters: Sequence[Cluster],
    suspects: Mapping[str, frozenset[int]],
) -> dict[str, float]:
    found = {
        player: 0.0 if number in suspects.get(player, ()) else value
        for player, value in values.items()
    }
    for cluster, when in clusters:
        together = sorted(cluster & found.keys())
        if len(together) > 1 and (when is None or number in when):
            joint = max(found[player] for player in together)
            found |= dict.fromkeys(together, joint / len(together))
    return found


def split_of(budget: int, values: Values, rule: Mapping[str, float], seed: str) -> Split:
    """The floor in equal parts, the rest by max(value, 0) to the power of rho; rounded once."""
    of_floor = _exact(rule["floor"])
    weights = {player: _weight(value, rule["rho"]) for player, value in values.items()}
    together = sum(weights.values())
    spent = budget if together > 0 else floor(budget * of_floor)
    earned = {one: weight / together if together else 0 for one, weight in weights.items()}
    shares = {one: of_floor / len(values) + (1 - of_floor) * share for one, share in earned.items()}
    whole = largest_remainder(spent, shares, seed)
    held = {player: floor(count * _exact(rule["hold_back"])) for player, count in whole.items()}
    paid = {player: whole[player] - held[player] for player in whole}
    return Split(paid, held, budget - sum(whole.values()))


def largest_remainder(total: int, weights: Mapping[str, Fraction], seed: str) -> dict[str, int]:
    """Whole numbers in proportion to the weights (Hamilton); the seed decides between equals."""
    together = sum(weights.values())
    if not together:
        return dict.fromkeys(weights, 0)
    quotas = {player: total * weight / together for player, weight in weights.items()}
    found = {player: floor(quota) for player, quota in quotas.items()}

    def turn(player: str) -> tuple[Fraction, bytes]:
        drawn = hashlib.sha256(f"{seed}/{player}".encode()).digest()
        return found[player] - quotas[player], drawn

    for player in sorted(weights, key=turn)[: total - sum(found.values())]:
        found[player] += 1
    return found


def _weight(value: float, rho: float) -> Fraction:
    if value <= 0:
        return Fraction(0)
    whole, half = divmod(round(2 * rho), 2)
    return Fraction(value) ** whole * (Fraction(sqrt(value)) if half else 1)


def _exact(share: float) -> Fraction:
    """The decimal that is written, which a double only comes near."""
    return Fraction(repr(float(share)))
