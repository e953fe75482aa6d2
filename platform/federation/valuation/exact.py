"""Shapley's value, from all coalitions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from math import factorial
from typing import ClassVar

from federation.valuation.base import Draw, Evidence, Step, Summed, valuations
from federation.valuation.games import Coalition, Game, ValuationRefused


@valuations.register("exact")
@dataclass(frozen=True, slots=True)
class Exact(Summed):
    """What a player adds to those before it, over all orders of all (Shapley 1953).

    φᵢ = Σ_S |S|! (K−|S|−1)! / K! · (v(S ∪ i) − v(S)). The values add up to the worth of all.
    """

    evidence: ClassVar[Evidence] = "coalitions"
    most_players: int = 8  # 256 coalitions; each player more doubles them

    def wanted(self, game: Game) -> list[Coalition]:
        count = len(game.players)
        if count > self.most_players:
            raise ValuationRefused(
                "too_many_players",
                f"the exact value of {count} players takes {2**count} measurements, and up to "
                f"{self.most_players} players are measured so: sample it instead",
            )
        return game.lacks(coalitions(game.players))

    def draws(self, game: Game) -> list[Draw]:
        return [_draw(game.players)]


@lru_cache(maxsize=4)  # all owners have the same players
def _draw(players: tuple[str, ...]) -> Draw:
    steps = {player: list(_steps(player, players)) for player in players}
    return Draw(steps, factorial(len(players)))


def coalitions(players: tuple[str, ...]) -> Iterator[Coalition]:
    """All of them, the smallest first."""
    for size in range(len(players) + 1):
        yield from map(frozenset, combinations(players, size))


def _steps(player: str, players: tuple[str, ...]) -> Iterator[Step]:
    others = tuple(one for one in players if one != player)
    for before in coalitions(others):
        orders = factorial(len(before)) * factorial(len(others) - len(before))
        yield Step(orders, before, before | {player})
