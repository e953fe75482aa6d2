"""What a valuation recorded, and what its method makes of one owner's losses.

A coalition is a number with a bit for each player. Losses are whole millionths, by bins of
examples. The methods: exact (Shapley 1953), leave_one_out, guided_permutations (Liu et al. 2022,
arXiv:2109.02053), and those that look at each player alone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import factorial, sqrt
from statistics import fmean, variance
from typing import Any

MILLIONTHS = 1_000_000
FEWEST_CYCLES = 2

Step = tuple[int, int, int]  # how often it counts, the coalition without, the coalition with
Steps = Mapping[int, Sequence[Step]]  # by player


class Unknown(Exception):
    """A coalition that is needed was not measured."""


@dataclass(frozen=True, slots=True)
class Game:
    """One owner's game. `players`: the places of those who play, sorted by their ids."""

    players: tuple[int, ...]
    ids: Sequence[str]  # of all players, by place
    losses: Mapping[int, Sequence[int]]
    counts: Sequence[int]
    seed: str
    totals: dict[int, int] = field(default_factory=dict)

    @property
    def everybody(self) -> int:
        return sum(1 << player for player in self.players)

    def loss(self, coalition: int) -> int:
        if coalition not in self.losses:
            raise Unknown
        if coalition not in self.totals:
            self.totals[coalition] = sum(self.losses[coalition])
        return self.totals[coalition]

    def gain(self, before: int, after: int) -> int:
        return self.loss(before) - self.loss(after)


@dataclass(frozen=True, slots=True)
class Draws:
    """Estimates whose mean the values are; each is of steps over `parts`."""

    steps: Sequence[Steps]
    parts: int = 1


def exact(game: Game, _settings: Mapping[str, Any]) -> Draws:
    count, steps = len(game.players), dict[int, list[Step]]()
    for player in game.players:
        others = [1 << one for one in game.players if one != player]
        steps[player] = [
            (factorial(size) * factorial(count - 1 - size), before, before | 1 << player)
            for size, before in _subsets(others)
        ]
    return Draws([steps], factorial(count))


def leave_one_out(game: Game, _settings: Mapping[str, Any]) -> Draws:
    everybody = game.everybody
    return Draws([{one: [(1, everybody & ~(1 << one), everybody)] for one in game.players}])


def alone(game: Game, _settings: Mapping[str, Any]) -> Draws:
    return Draws([{one: [(1, 0, 1 << one)] for one in game.players}])


def guided_permutations(game: Game, settings: Mapping[str, Any]) -> Draws:
    worth = game.gain(0, game.everybody)
    if abs(worth) <= settings["still"] * abs(game.loss(0)):
        return Draws([{}])
    walks: list[Steps] = []
    for cycle in range(settings["cycles"]):
        walks += _cycle(game, cycle, settings["truncation"] * abs(worth))
        if cycle + 1 >= FEWEST_CYCLES and _suffice(game, walks, settings["precision"] * abs(worth)):
            break
    return Draws(walks)


METHODS: Mapping[str, Callable[[Game, Mapping[str, Any]], Draws]] = {
    "exact": exact,
    "leave_one_out": leave_one_out,
    "guided_permutations": guided_permutations,
    "gradient_alignment": alone,
    "cgsv": alone,
}


def value_of(game: Game, draws: Draws, player: int) -> float:
    gains = sum(
        times * game.gain(before, after)
        for steps in draws.steps
        for times, before, after in steps.get(player, ())
    )
    return gains / (len(draws.steps) * draws.parts * sum(game.counts) * MILLIONTHS)


def gains_by_bin(game: Game, steps: Steps, parts: int, player: int) -> list[float]:
    """What a player adds in one draw, bin by bin."""
    totals = [0] * len(game.counts)
    for times, before, after in steps.get(player, ()):
        both = zip(game.losses[before], game.losses[after], strict=True)
        for place, (one, other) in enumerate(both):
            totals[place] += times * (one - other)
    return [total / (parts * MILLIONTHS) for total in totals]


def _subsets(bits: Sequence[int]) -> Iterator[tuple[int, int]]:
    """All coalitions of these, each with its size."""
    for chosen in range(1 << len(bits)):
        members = [bit for place, bit in enumerate(bits) if chosen >> place & 1]
        yield len(members), sum(members)


def _cycle(game: Game, cycle: int, enough: float) -> list[Steps]:
    count = len(game.players)
    return [_walk(game, _order(game, cycle * count + place), enough) for place in range(count)]


def _walk(game: Game, order: Sequence[int], enough: float) -> Steps:
    steps, before, everybody = dict[int, list[Step]](), 0, game.everybody
    for player in order:
        if before and abs(game.gain(before, everybody)) <= enough:
            break
        after = before | 1 << player
        game.loss(after)
        steps[player] = [(1, before, after)]
        before = after
    return steps


def _order(game: Game, number: int) -> list[int]:
    leader = game.players[number % len(game.players)]

    def drawn(player: int) -> tuple[bool, bytes]:
        label = f"{game.seed}/{number}/{game.ids[player]}"
        return player != leader, hashlib.sha256(label.encode()).digest()

    return sorted(game.players, key=drawn)


def _suffice(game: Game, walks: Sequence[Steps], bound: float) -> bool:
    for player in game.players:
        gains = [
            sum(game.gain(before, after) for _, before, after in walk.get(player, ()))
            for walk in walks
        ]
        if sqrt(variance(gains, fmean(gains)) / len(gains)) > bound:
            return False
    return True
