"""Five organisations of five kinds on CLINC150, and what a hub would say of them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

from federation.valuation import Contribution, cumulated, valuations
from tests.federation.attacks import DOMAINS, Model, beginning
from tests.federation.cheats import Campaign, Examples, Round, read, trained, valued
from tests.strategies import normal, seeded

KINDS = ("large", "small", "shuffled labels", "sends no change", "sends the large one's again")
LARGE, SMALL, SHUFFLED, ZERO, COPY = range(5)
COUNTS = (1200, 100, 400, 400, 1200)  # examples that each says it has
ROUNDS, RATE = 5, 0.4


@cache
def data() -> tuple[Examples, ...]:
    """Examples of all domains alike, nobody's twice."""
    features, labels = read("train.csv", 4000)
    found, begin = [], 0
    for count in (COUNTS[LARGE], COUNTS[SMALL], COUNTS[SHUFFLED]):
        found.append((features[begin : begin + count], labels[begin : begin + count]))
        begin += count
    texts, right = found[SHUFFLED]
    wrong = right.clone()
    some = torch.randperm(len(right), generator=seeded(5))[: int(0.7 * len(right))]
    wrong[some] = torch.randint(DOMAINS, (len(some),), generator=seeded(6))
    found[SHUFFLED] = (texts, wrong)
    return tuple(found)


@cache
def campaign() -> Campaign:
    weights = torch.tensor(COUNTS, dtype=torch.float64) / sum(COUNTS)
    model, rounds = beginning(), list[Round]()
    for number in range(ROUNDS):
        start = model.dense.flatten().double()
        rounds.append(Round(start, _sent(model, start, number), weights))
        model = Model.of((start + rounds[-1].made).reshape(model.dense.shape).float())
    return Campaign(tuple(rounds))


def _sent(model: Model, start: Tensor, number: int) -> Tensor:
    honest = [
        trained(model, [own], [100 * number + place], rate=RATE)[0] - start
        for place, own in enumerate(data())
    ]
    drawn = normal(seeded(9500 + number), len(start))
    copied = honest[LARGE] + 0.05 * honest[LARGE].norm() * drawn / drawn.norm()
    return torch.stack([*honest, torch.zeros_like(start), copied])


@cache
def contributions() -> dict[str, Contribution]:
    """Over all rounds, each by the test data of the others, with the interval of 95 %."""
    return cumulated(valuations["exact"](), [valued(one, samples=200) for one in campaign().rounds])
