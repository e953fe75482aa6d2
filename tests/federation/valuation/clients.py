"""Eight clients of a logistic model who differ in what they bring: METHODS 5.2 in spirit.

The probes are of several owners, the rounds plain federated averaging. Whoever plays false knows
the global change of the round before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from torch import Tensor
from torch.nn.functional import softplus

from federation.valuation import (
    MILLIONTHS,
    Bin,
    Coalition,
    Measured,
    Method,
    Table,
    Valuation,
    valuations,
)
from federation.valuation.binning import places_of
from federation.valuation.cgsv import cosines
from federation.valuation.exact import coalitions
from tests.federation.valuation.games import FEW
from tests.strategies import normal, seeded

WIDTH, STEPS, RATE, ROUNDS, PROBE = 24, 5, 1.0, 4, 160
SIZES: Mapping[str, int] = {
    "big": 400,
    "mid": 200,
    "small": 60,
    "noisy": 200,
    "twin": 200,
    "twin again": 200,
    "zero": 200,
    "random": 200,
}
NAMES = tuple(SIZES)
OWNERS = ("big", "noisy", "twin", "zero")
Data = tuple[Tensor, Tensor]
# From the changes of a round, by client, and the global change of the round before, if any.
Cheat = Callable[[Tensor, Tensor | None, torch.Generator], None]


def honest(changes: Tensor, before: Tensor | None, dice: torch.Generator) -> None:
    """Nobody but those who always do plays false."""


@dataclass(frozen=True, eq=False)
class Played:
    """A round: where it started, what each client sent, and with which weight."""

    start: Tensor
    changes: Tensor
    weights: Tensor
    probes: Mapping[str, Data] = field(repr=False)

    def losses(self, every: Sequence[Coalition], owner: str) -> list[Measured]:
        chosen = torch.tensor([[float(name in one) for name in NAMES] for one in every])
        models = self.start + (chosen * self.weights).double() @ self.changes
        features, labels = self.probes[owner]
        answers = features @ models.T
        losses = softplus(answers) - answers * labels[:, None]
        places = places_of(PROBE)
        sums = torch.stack([losses[list(one)].sum(0) for one in places], 1) * MILLIONTHS
        return [
            Measured(one, owner, tuple(map(Bin, row, map(len, places))))
            for one, row in zip(every, sums.round().long().tolist(), strict=True)
        ]

    def table(self, every: Iterable[Coalition] = ()) -> Table:
        chosen = list(every) or list(coalitions(tuple(sorted(NAMES))))
        return Table.of(m for owner in OWNERS for m in self.losses(chosen, owner))

    def valuation(self, method: Method | None = None) -> Valuation:
        players = dict(zip(NAMES, self.weights.tolist(), strict=True))
        return Valuation(method or valuations["exact"](), players, "00" * 32, samples=FEW)

    def values(self) -> dict[str, float]:
        found = self.valuation().valued(self.table()).contributions
        return {name: found[name].value for name in NAMES}

    def cosines(self) -> dict[str, float]:
        products, weights = (self.changes @ self.changes.T).tolist(), self.weights.tolist()
        table = Table.of(cosines(NAMES, products, weights))
        found = self.valuation(valuations["cgsv"]()).valued(table).contributions
        return {name: found[name].value for name in NAMES}


@cache
def campaign(
    cheat: Cheat = honest, *, seed: int = 3, claims: tuple[int, ...] = ()
) -> tuple[Played, ...]:
    """Rounds in which all take part; `claims`: the examples that each says it has."""
    dice = seeded(seed)
    truth = normal(dice, WIDTH) * 3 / WIDTH**0.5
    data = {name: _data(size, truth, dice, name) for name, size in SIZES.items()}
    data["twin again"] = data["twin"]
    probes = {owner: _data(PROBE, truth, dice) for owner in OWNERS}
    weights = torch.tensor(claims or tuple(SIZES.values()), dtype=torch.float64)
    weights /= weights.sum()
    model, before, found = torch.zeros(WIDTH, dtype=torch.float64), None, []
    for _ in range(ROUNDS):
        changes = torch.stack([_trained(model, one) for one in data.values()])
        changes[NAMES.index("zero")] = 0.0
        noise = normal(dice, WIDTH)
        changes[NAMES.index("random")] = noise / noise.norm() * changes[1].norm()
        cheat(changes, before, dice)
        found.append(Played(model, changes, weights, probes))
        before = weights @ changes
        model = model + before
    return tuple(found)


def total(rounds: Iterable[Mapping[str, float]]) -> dict[str, float]:
    every = list(rounds)
    return {name: sum(one[name] for one in every) for name in NAMES}


def shares(values: Mapping[str, float]) -> dict[str, float]:
    """What each gets of a budget."""
    whole = sum(max(value, 0.0) for value in values.values())
    return {name: max(value, 0.0) / whole for name, value in values.items()}


def capped(played: Played, claims: Sequence[int]) -> Played:
    weights = torch.tensor([min(c, SIZES[n]) for c, n in zip(claims, NAMES, strict=True)])
    return replace(played, weights=weights.double() / weights.sum())


def _data(size: int, truth: Tensor, dice: torch.Generator, name: str = "") -> Data:
    features = normal(dice, size, WIDTH)
    labels = (features @ truth + 0.5 * normal(dice, size) > 0).double()
    if name == "noisy":
        guessed = torch.rand(size, generator=dice) < 0.7
        labels[guessed] = torch.randint(0, 2, (size,), generator=dice).double()[guessed]
    return features, labels


def _trained(start: Tensor, data: Data) -> Tensor:
    features, labels = data
    model = start
    for _ in range(STEPS):
        model = model - RATE / len(labels) * (
            features.T @ (torch.sigmoid(features @ model) - labels)
        )
    return model - start
