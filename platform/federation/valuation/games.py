"""What is recorded of a round's game: the losses of coalitions, in sums over bins of examples.

The game is that of fixed weights: a coalition's model is the round's start with the changes of its
members, each with the weight it had among all, never raised because others are missing. What a
coalition is worth is by how much its model's loss is below that of the start. So the game knows
the start, the updates and their weights, and nothing of what the round's aggregation made of them.

Losses are whole millionths. Sums of whole numbers are the same on every machine and in every
order, so whoever has the table gets the same values, to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

GAME: Final = "fixed_weight"
MILLIONTHS: Final = 1_000_000
MOST: Final = 2**53  # what JSON keeps exactly

Coalition: TypeAlias = frozenset[str]
"""The ids of its players; in JSON a sorted list."""

NOBODY: Final[Coalition] = frozenset()


class ValuationRefused(ValueError):
    """There is no value to be had from this. `code` is stable.

    Codes: too_many_players, no_players, unknown_player, not_measured, nobody_else_measured,
    measured_otherwise, measured_twice, too_few_examples, unreadable.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class Bin:
    """Some examples of a probe: the millionths of their losses together, and what they count.

    `count` is what a mean loss is over: examples where there are labels, else predicted tokens.
    """

    loss: int
    count: int


@dataclass(frozen=True, slots=True)
class Measured:
    """What one owner's probe says of one coalition's model; no owner: a public probe."""

    coalition: Coalition
    owner: str | None
    bins: tuple[Bin, ...]


@dataclass(frozen=True, slots=True)
class Game:
    """One owner's game, as far as it is measured. `players` are sorted by their ids."""

    players: tuple[str, ...]
    losses: Mapping[Coalition, tuple[int, ...]]  # of each bin, in millionths
    counts: tuple[int, ...]  # of each bin
    seed: str = ""

    @property
    def everybody(self) -> Coalition:
        return frozenset(self.players)

    @property
    def count(self) -> int:
        return sum(self.counts)

    def loss(self, coalition: Coalition) -> int:
        """Millionths over all bins. KeyError where it is not measured."""
        return sum(self.losses[coalition])

    def worth(self, coalition: Coalition) -> float:
        """By how much the mean loss is below the start's."""
        return (self.loss(NOBODY) - self.loss(coalition)) / (self.count * MILLIONTHS)

    def lacks(self, coalitions: Iterable[Coalition]) -> list[Coalition]:
        """Those of them that are not measured yet, each once, in their order."""
        return [one for one in dict.fromkeys(coalitions) if one not in self.losses]


@dataclass(frozen=True, slots=True)
class Table:
    """All that was measured in a round: by owner, by coalition."""

    counts: Mapping[str | None, tuple[int, ...]]
    losses: Mapping[str | None, Mapping[Coalition, tuple[int, ...]]]

    @classmethod
    def of(cls, measured: Iterable[Measured]) -> Table:
        """Raises ValuationRefused where an owner's bins differ, or a coalition comes twice."""
        counts: dict[str | None, tuple[int, ...]] = {}
        losses: dict[str | None, dict[Coalition, tuple[int, ...]]] = {}
        for one in measured:
            _check(one)
            own = tuple(each.count for each in one.bins)
            if counts.setdefault(one.owner, own) != own:
                raise ValuationRefused(
                    "measured_otherwise", f"{one.owner}: other examples for {written(one)}"
                )
            found = losses.setdefault(one.owner, {})
            if one.coalition in found:
                raise ValuationRefused("measured_twice", f"{one.owner}: {written(one)}")
            found[one.coalition] = tuple(each.loss for each in one.bins)
        return cls(counts, losses)

    @property
    def owners(self) -> list[str | None]:
        """Sorted, the public probe first."""
        return sorted(self.losses, key=lambda owner: (owner is not None, owner or ""))

    def game(self, owner: str | None, players: Sequence[str], seed: str) -> Game:
        """The game as this owner's probe has it; nothing is measured of one that is not here."""
        measured = self.losses.get(owner, {})
        return Game(tuple(sorted(players)), measured, self.counts.get(owner, ()), seed)


def written(one: Measured) -> list[str]:
    """A coalition in its one form in JSON."""
    return sorted(one.coalition)


def _check(one: Measured) -> None:
    for each in one.bins:
        if type(each.loss) is not int or type(each.count) is not int:
            raise ValuationRefused("unreadable", "losses and counts are whole numbers")
        if abs(each.loss) > MOST or not 0 < each.count <= MOST:
            raise ValuationRefused("unreadable", f"{each} is no sum over examples")
    if not one.bins:
        raise ValuationRefused("unreadable", f"{one.owner}: no bins")
