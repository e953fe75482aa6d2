"""What would be missing without a player."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from federation.valuation.base import Draw, Evidence, Step, Summed, valuations
from federation.valuation.games import NOBODY, Coalition, Game


@valuations.register("leave_one_out")
@dataclass(frozen=True, slots=True)
class LeaveOneOut(Summed):
    """φᵢ = v(N) − v(N without i): of two who brought the same, neither is missed."""

    evidence: ClassVar[Evidence] = "coalitions"

    def wanted(self, game: Game) -> list[Coalition]:
        without = (game.everybody - {player} for player in game.players)
        return game.lacks([NOBODY, game.everybody, *without])

    def draws(self, game: Game) -> list[Draw]:
        everybody = game.everybody
        return [Draw({one: [Step(1, everybody - {one}, everybody)] for one in game.players})]
