"""Shapley's value, from some orders in which the players join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from math import sqrt
from statistics import fmean, variance
from typing import ClassVar

from federation.valuation.base import Draw, Evidence, Step, Summed, valuations
from federation.valuation.games import NOBODY, Coalition, Game

FEWEST_CYCLES = 2  # below that nothing is known of how sure the values are


@dataclass(frozen=True, slots=True)
class Walk:
    """An order as far as it is measured; `missing` is the coalition where it stopped, if any."""

    steps: dict[str, list[Step]]
    missing: Coalition | None = None


@valuations.register("guided_permutations")
@dataclass(frozen=True, slots=True)
class GuidedPermutations(Summed):
    """GTG-Shapley (Liu et al. 2022, arXiv:2109.02053).

    Orders come in cycles in which each player leads once. An order ends where so little of the
    worth of all is left that nobody behind could add much. No cycle follows one after which all
    values are sure enough; the paper asks whether they still move, this for their standard errors.

    The orders follow from the seed alone: by SHA-256 of seed, number of the order and player.
    """

    evidence: ClassVar[Evidence] = "coalitions"
    cycles: int = 3  # at most
    truncation: float = 0.02  # share of the worth of all that may be left
    still: float = 0.0  # share of the loss at the start below which a round changed nothing
    precision: float = 0.02  # standard error of each value, as a share of the worth of all

    def wanted(self, game: Game) -> list[Coalition]:
        if ends := game.lacks([NOBODY, game.everybody]):
            return ends
        if self._is_still(game):
            return []
        walks: list[Walk] = []
        for cycle in range(self.cycles):
            walks += self._cycle(game, cycle)
            if missing := [walk.missing for walk in walks if walk.missing is not None]:
                return game.lacks(missing)
            if self._suffices(game, walks):
                break
        return []

    def draws(self, game: Game) -> list[Draw]:
        if self._is_still(game):
            return [Draw({})]
        walks: list[Walk] = []
        for cycle in range(self.cycles):
            walks += self._cycle(game, cycle)
            if self._suffices(game, walks):
                break
        return [Draw(walk.steps) for walk in walks]

    def _is_still(self, game: Game) -> bool:
        """Truncation between rounds."""
        return abs(_gain(game, NOBODY, game.everybody)) <= self.still * abs(game.loss(NOBODY))

    def _cycle(self, game: Game, cycle: int) -> list[Walk]:
        count = len(game.players)
        orders = (order_of(game, cycle * count + place) for place in range(count))
        return [self._walk(game, order) for order in orders]

    def _walk(self, game: Game, order: Sequence[str]) -> Walk:
        steps: dict[str, list[Step]] = {}
        before, everybody = NOBODY, game.everybody
        enough = self.truncation * abs(_gain(game, NOBODY, everybody))
        for player in order:
            if before and abs(_gain(game, before, everybody)) <= enough:
                break
            after = before | {player}
            if after not in game.losses:
                return Walk(steps, after)
            steps[player] = [Step(1, before, after)]
            before = after
        return Walk(steps)

    def _suffices(self, game: Game, walks: Sequence[Walk]) -> bool:
        """Whether all values are as sure as is asked for."""
        if len(walks) < FEWEST_CYCLES * len(game.players):
            return False
        bound = self.precision * abs(_gain(game, NOBODY, game.everybody))
        return all(_error(game, player, walks) <= bound for player in game.players)


def order_of(game: Game, number: int) -> list[str]:
    """Who joins when; in each cycle everybody is the first once."""
    leader = game.players[number % len(game.players)]

    def drawn(player: str) -> tuple[bool, bytes]:
        return player != leader, sha256(f"{game.seed}/{number}/{player}".encode()).digest()

    return sorted(game.players, key=drawn)


def _gain(game: Game, before: Coalition, after: Coalition) -> int:
    return game.loss(before) - game.loss(after)


def _error(game: Game, player: str, walks: Sequence[Walk]) -> float:
    """The standard error of a mean over orders, in millionths."""
    gains = [
        sum(_gain(game, step.without, step.having) for step in walk.steps.get(player, ()))
        for walk in walks
    ]
    return sqrt(variance(gains, fmean(gains)) / len(gains))
