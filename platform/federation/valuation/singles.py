"""Methods that look at each player by itself."""

from __future__ import annotations

from federation.valuation.base import Draw, Step
from federation.valuation.games import NOBODY, Coalition, Game


class Singles:
    """φᵢ = v({i}): the values of players who add the same to whomever they join."""

    def wanted(self, game: Game) -> list[Coalition]:
        return game.lacks([NOBODY, *(frozenset({player}) for player in game.players)])

    def draws(self, game: Game) -> list[Draw]:
        return [Draw({one: [Step(1, NOBODY, frozenset({one}))] for one in game.players})]
