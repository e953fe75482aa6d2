"""Organisations that play false on a small real task, and what their updates were worth.

The task is that of tests/federation/attacks.py, trained in batches, its examples shared out
unevenly. Whoever plays false has no examples at hand, or one set for two; it knows the results of
earlier rounds, and where nobody commits first, the others' updates of this one.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from federation.conduct import findings
from federation.noticed import Seen, Sent
from federation.valuation import (
    MILLIONTHS,
    Bin,
    Measured,
    Table,
    Valuation,
    Valued,
    valuations,
)
from federation.valuation.binning import places_of
from federation.valuation.exact import coalitions
from federation.valuation.weights import fixed_weights
from tests.federation.attacks import DATA, DOMAINS, Model, beginning, features_of
from tests.strategies import normal, seeded

OWN, ROUNDS, BATCH, RATE, MOMENTUM = 400, 5, 32, 1.0, 0.9
ORGANISATIONS, PROBE, SIZE = 5, 120, 1024
TESTED = (ORGANISATIONS + 3) * PROBE
LIAR, SIBLING = 0, ORGANISATIONS  # the second only where somebody splits into two
TOGETHER = frozenset({"near_copy", "same_data", "exact_copy"})

Examples = tuple[Tensor, Tensor]
# From the round's number, the changes that all would send, and the earlier rounds: what is sent.
Cheat = Callable[[int, Tensor, Sequence["Round"]], Tensor]


@dataclass(frozen=True, eq=False)
class Round:
    """A round: its start, what each sent, and with which weight."""

    start: Tensor
    changes: Tensor  # (organisations, values)
    weights: Tensor

    @property
    def made(self) -> Tensor:
        return self.weights @ self.changes


@cache
def read(name: str, count: int) -> Examples:
    """Some rows of CLINC150, as features and the numbers of their domains."""
    with (DATA / "clinc150" / name).open(newline="") as file:
        rows = list(csv.DictReader(file))
    domains = sorted({row["domain"] for row in rows})
    order = torch.randperm(len(rows), generator=seeded(0))[:count].tolist()
    chosen = [rows[place] for place in order]
    numbers = torch.tensor([domains.index(row["domain"]) for row in chosen])
    return torch.stack([features_of(row["text"]) for row in chosen]), numbers


@cache
def shared_out(seed: int, alpha: float, count: int = ORGANISATIONS) -> tuple[Examples, ...]:
    """So many examples for each, their domains drawn from a Dirichlet distribution."""
    features, labels = read("train.csv", 4000)
    dice, free = seeded(seed), torch.ones(len(labels), dtype=torch.bool)
    found = []
    for _ in range(count):
        shares = torch._sample_dirichlet(torch.full((DOMAINS,), alpha), generator=dice)
        places = torch.cat([_some(labels, free, d, int(s * OWN)) for d, s in enumerate(shares)])
        free[places] = False
        found.append((features[places], labels[places]))
    return tuple(found)


def _some(labels: Tensor, free: Tensor, domain: int, count: int) -> Tensor:
    return torch.nonzero((labels == domain) & free).flatten()[:count]


def probes(count: int) -> list[Examples]:
    """Test data of each organisation."""
    features, labels = read("test.csv", TESTED)
    return [
        (features[i * PROBE : (i + 1) * PROBE], labels[i * PROBE : (i + 1) * PROBE])
        for i in range(count)
    ]


def trained(
    start: Model, data: Sequence[Examples], seeds: Sequence[int], *, rate: float = RATE
) -> Tensor:
    """One epoch in small batches, each organisation in an order of its own; all of them at once."""
    fewest = min(len(labels) for _, labels in data)
    orders = torch.stack([torch.randperm(fewest, generator=seeded(seed)) for seed in seeds])
    wide = [part.expand(len(data), *part.shape).clone() for part in (start.b, start.a, start.bias)]
    parts = [part.requires_grad_() for part in wide]
    optimiser = torch.optim.SGD(parts, lr=rate, momentum=MOMENTUM)
    for some in orders.split(BATCH, dim=1):
        features = torch.stack([one[rows] for (one, _), rows in zip(data, some, strict=True)])
        labels = torch.cat([one[rows] for (_, one), rows in zip(data, some, strict=True)])
        logits = Model(*parts).logits(features).flatten(0, 1)
        optimiser.zero_grad()
        (torch.nn.functional.cross_entropy(logits, labels) * len(data)).backward()
        optimiser.step()
    return Model(*[part.detach() for part in parts]).dense.flatten(1).double()


@dataclass(frozen=True, eq=False)
class Campaign:
    rounds: tuple[Round, ...]

    @property
    def count(self) -> int:
        return len(self.rounds[0].weights)

    def values(self) -> list[float]:
        """The value of each, over all rounds, without looking at any case."""
        each = [_values(one) for one in self.rounds]
        return [sum(values[place] for values in each) for place in range(self.count)]

    @property
    def history(self) -> list[Seen]:
        """As a hub sees it: sketches and norms."""
        width = len(self.rounds[0].start)
        draw = seeded(99)
        places = torch.randint(SIZE, (width,), generator=draw)
        signs = torch.randint(2, (width,), generator=draw).double() * 2 - 1
        return [_seen(number, one, places, signs) for number, one in enumerate(self.rounds, 1)]

    def cases(self) -> set[tuple[str, tuple[int, ...]]]:
        history = self.history
        return {
            (found.kind, tuple(map(int, found.who)))
            for end in range(1, len(history) + 1)
            for found in findings(history[:end])
        }

    def credited(self) -> list[float]:
        """Values as the cases leave them: suspects have none, who brought the same shares one."""
        values = self.values()
        for kind, who in self.cases():
            if kind not in TOGETHER:
                values = [0.0 if place in who else v for place, v in enumerate(values)]
        for kind, who in self.cases():
            if kind in TOGETHER:
                joint = max(values[place] for place in who) / len(who)
                values = [joint if place in who else v for place, v in enumerate(values)]
        return values


def share(values: Sequence[float], *places: int) -> float:
    """Of a budget, what these get."""
    positive = [max(value, 0.0) for value in values]
    return sum(positive[place] for place in places) / sum(positive)


@cache
def campaign(cheat: Cheat, *, seed: int = 0, alpha: float = 5.0, twice: bool = False) -> Campaign:
    """`twice`: one more organisation, with the same examples as the first."""
    data = list(shared_out(seed, alpha))
    data += data[:1] if twice else []
    weights = torch.tensor([float(len(labels)) for _, labels in data], dtype=torch.float64)
    weights /= weights.sum()
    model, rounds = beginning(), list[Round]()
    for number in range(ROUNDS):
        start = model.dense.flatten().double()
        seeds = [1000 * seed + 50 * number + place for place in range(len(data))]
        changes = trained(model, data, seeds) - start
        rounds.append(Round(start, cheat(number, changes.clone(), rounds), weights))
        model = Model.of((start + rounds[-1].made).reshape(model.dense.shape).float())
    return Campaign(tuple(rounds))


def _values(one: Round) -> list[float]:
    found = valued(one, samples=2).contributions
    return [found[str(place)].value for place in range(len(one.weights))]


def valued(one: Round, *, samples: int) -> Valued:
    """Shapley's, exact, by the probes of all but each one's own."""
    names = [str(place) for place in range(len(one.weights))]
    lengths: list[float | None] = one.changes.norm(dim=1).tolist()
    weights = torch.tensor(fixed_weights(one.weights.tolist(), lengths), dtype=torch.float64)
    every = list(coalitions(tuple(names)))
    chosen = torch.tensor([[float(name in group) for name in names] for group in every])
    models = one.start + (chosen.double() * weights) @ one.changes
    wide = models.float().reshape(len(every), DOMAINS, -1)
    table = Table.of(
        measured
        for owner, probe in enumerate(probes(len(names)))
        for measured in _losses(every, wide, str(owner), probe)
    )
    players = dict(zip(names, weights.tolist(), strict=True))
    return Valuation(valuations["exact"](), players, "00" * 32, samples=samples).valued(table)


def _losses(
    every: Sequence[frozenset[str]], models: Tensor, owner: str, probe: Examples
) -> list[Measured]:
    features, labels = probe
    logits = torch.einsum("ef,mdf->med", features, models[..., :-1]) + models[:, None, :, -1]
    losses = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), labels.repeat(len(models)), reduction="none"
    )
    places = places_of(len(labels))
    by_model = losses.reshape(len(models), -1).double()
    sums = torch.stack([by_model[:, list(one)].sum(1) for one in places], 1) * MILLIONTHS
    return [
        Measured(group, owner, tuple(map(Bin, row, map(len, places))))
        for group, row in zip(every, sums.round().long().tolist(), strict=True)
    ]


def _seen(number: int, one: Round, places: Tensor, signs: Tensor) -> Seen:
    sketches = torch.zeros(len(one.changes), SIZE, dtype=torch.float64)
    sketches.index_add_(1, places, one.changes * signs)
    alone = _alone(one)
    sent = tuple(
        Sent(
            who=str(place),
            digest=str(hash(tuple((one.start + change).tolist()))),
            norm=float(change.norm()),
            sketch=sketches[place].tolist(),
            loss_change=alone[place],
        )
        for place, change in enumerate(one.changes)
    )
    return Seen(number, sent, {str(p): w for p, w in enumerate(one.weights.tolist())})


def _alone(one: Round) -> list[float]:
    """What each update by itself does to the loss on a public probe."""
    features, labels = (part[-PROBE * 2 :] for part in read("test.csv", TESTED))
    models = torch.cat([one.start[None], one.start + one.changes]).float()
    losses = [
        float(torch.nn.functional.cross_entropy(features @ model[:, :-1].T + model[:, -1], labels))
        for model in models.reshape(len(models), DOMAINS, -1)
    ]
    return [loss - losses[0] for loss in losses[1:]]


# ------------------------------------------------------------------ what is sent


def honest(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    return changes


def zero(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    changes[LIAR] = 0.0
    return changes


def noise(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    drawn = normal(seeded(7000 + number), changes.shape[1])
    changes[LIAR] = drawn / drawn.norm() * changes[1].norm()
    return changes


def replay(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    """It trains once, and sends that again and again."""
    if before:
        changes[LIAR] = before[0].changes[LIAR]
    return changes


def result_again(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    """No data at all: the last round's result, as if it were its own."""
    changes[LIAR] = before[-1].made if before else 0.0
    return changes


def near_copy(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    """Another's update of this very round beneath a little noise."""
    drawn = normal(seeded(8000 + number), changes.shape[1])
    changes[LIAR] = changes[1] + 0.05 * changes[1].norm() * drawn / drawn.norm()
    return changes


def crafted(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    """The direction in which all went, beneath noise that no cosine above 0.95 sees."""
    if not before:
        return noise(number, changes, before)
    towards = before[-1].made / before[-1].made.norm()
    drawn = normal(seeded(9000 + number), changes.shape[1])
    drawn -= (drawn @ towards) * towards
    made = towards + (1 / 0.95**2 - 1) ** 0.5 * drawn / drawn.norm()
    changes[LIAR] = made / made.norm() * changes[1].norm()
    return changes


def overshot(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    """Its own update eight times as long: cosines and slopes praise it the more."""
    changes[LIAR] *= 8
    return changes


def doubled(number: int, changes: Tensor, before: Sequence[Round]) -> Tensor:
    changes[LIAR] *= 2
    return changes


CHEATS: Mapping[str, Cheat] = {
    "no change": zero,
    "noise": noise,
    "its own first update again": replay,
    "the last result again": result_again,
    "a near copy": near_copy,
    "the others' direction beneath noise": crafted,
    "its own update eight times as long": overshot,
    "its own update twice as long": doubled,
}
