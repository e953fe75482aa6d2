"""Games for tests of valuation, and Shapley's value written out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from itertools import permutations

from hypothesis import strategies as st

from federation.valuation import (
    MILLIONTHS,
    NOBODY,
    Bin,
    Coalition,
    Measured,
    Method,
    Table,
    Valuation,
    valuations,
)
from federation.valuation.exact import coalitions

EXAMPLES = 10  # in each bin
FEW = 10  # samples of the bootstrap, where intervals do not matter
Losses = Mapping[Coalition, tuple[int, ...]]  # of each bin, in millionths


def measured(losses: Losses, owner: str | None = None) -> list[Measured]:
    return [
        Measured(coalition, owner, tuple(Bin(loss, EXAMPLES) for loss in sums))
        for coalition, sums in losses.items()
    ]


def losses_of(players: Iterable[str], worth: Callable[[Coalition], float], bins: int = 4) -> Losses:
    """The same in every bin: a mean loss of two, less what a coalition is worth."""
    every = coalitions(tuple(sorted(players)))
    return {one: (round((2 - worth(one)) * EXAMPLES * MILLIONTHS),) * bins for one in every}


def valuation(names: Iterable[str], method: Method | None = None, **changed: object) -> Valuation:
    given = {"players": dict.fromkeys(names, 1.0), "seed": "00" * 32, "samples": FEW}
    return Valuation(method=method or valuations["exact"](), **(given | changed))  # type: ignore[arg-type]


def values_of(losses: Losses, method: Method | None = None, **changed: object) -> dict[str, float]:
    """Of a public probe, whoever is in the largest coalition playing."""
    players = max(losses, key=len)
    found = valuation(players, method, **changed).valued(Table.of(measured(losses)))
    return {player: one.value for player, one in found.contributions.items()}


def played(valuation: Valuation, losses: Losses, owner: str | None = None) -> list[Measured]:
    """What is measured where no more is than what is wanted."""
    known: list[Measured] = []
    while wanted := valuation.wanted(Table.of(known), owner):
        known += measured({one: losses[one] for one in wanted}, owner)
    return known


def by_all_orders(losses: Losses, player: str) -> Fraction:
    """What a player adds to those before it, averaged over every order of all, one by one."""
    players = sorted(max(losses, key=len))
    total, orders = 0, list(permutations(players))
    for order in orders:
        before = frozenset(order[: order.index(player)])
        total += sum(losses[before]) - sum(losses[before | {player}])
    count = len(losses[NOBODY]) * EXAMPLES
    return Fraction(total, len(orders) * count * MILLIONTHS)


@st.composite
def games(draw: st.DrawFn, *, least: int = 1, most: int = 5) -> Losses:
    """Any losses whatever."""
    players = tuple("abcdefgh"[: draw(st.integers(least, most))])
    bins = draw(st.integers(1, 3))
    loss = st.integers(0, 50 * MILLIONTHS)
    return {
        one: tuple(draw(st.lists(loss, min_size=bins, max_size=bins)))
        for one in coalitions(players)
    }


def without(losses: Losses, player: str) -> Losses:
    """The game with one player whose joining changes nothing at all."""
    return {one: losses[one - {player}] for one in losses}


def exchanged(losses: Losses, names: Mapping[str, str]) -> Losses:
    return {frozenset(names[player] for player in one): sums for one, sums in losses.items()}
