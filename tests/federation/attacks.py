"""Attacks on a round, and a small real task to try them on: whom does a short request concern?

The task is CLINC150's ten domains from hashed words and letters, by a LoRA pair and a bias
over a frozen layer of zeros. Attackers know all honest updates of the round.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from statistics import NormalDist
from zlib import crc32

import torch
from torch import Tensor

from federation.pairs import Pair
from tests.federation.adapters import HEAD, Workshop, adapter
from tests.strategies import normal, seeded

DATA = Path(os.environ.get("FOEDUS_DATA", Path(__file__).parents[3] / "shared" / "data"))
FEATURES, DOMAINS, RANK = 256, 10, 8
ORGANISATIONS, LIARS = 11, 2
EXAMPLES, ROUNDS, STEPS, RATE = 1200, 4, 12, 2.0
ROOT_EXAMPLES = 200


@dataclass(frozen=True, slots=True)
class Task:
    """Texts of each organisation, of the root of trust, and of the test: features and labels."""

    own: tuple[Tensor, Tensor]  # (organisations, examples, features), (organisations, examples)
    root: tuple[Tensor, Tensor]  # of one organisation more
    test: tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """What is trained: a pair and a bias; several organisations' stand in a first dimension."""

    b: Tensor
    a: Tensor
    bias: Tensor

    def logits(self, features: Tensor) -> Tensor:
        return features @ self.a.mT @ self.b.mT + self.bias[..., None, :]

    def one(self, place: int) -> Model:
        return Model(self.b[place], self.a[place], self.bias[place])

    @property
    def dense(self) -> Tensor:
        """All of it as one matrix, the bias as the last column."""
        return torch.cat([self.b @ self.a, self.bias[..., None]], -1)

    @classmethod
    def of(cls, dense: Tensor) -> Model:
        """The nearest that a pair of this rank can be."""
        u, singular, v = torch.linalg.svd(dense[:, :-1], full_matrices=False)
        root = singular[:RANK].sqrt()
        return cls(u[:, :RANK] * root, v[:RANK] * root[:, None], dense[:, -1])


def features_of(text: str) -> Tensor:
    """Counts of hashed words and triples of letters, as a vector of length 1."""
    words = text.lower().split()
    triples = [f"{text}  "[i : i + 3] for i in range(len(text))]
    found = torch.zeros(FEATURES)
    for piece in [*words, *words, *triples]:
        found[crc32(piece.encode()) % FEATURES] += 1
    return found / found.norm().clamp_min(1)


@cache
def task() -> Task:
    labels: dict[str, int] = {}

    def read(name: str, count: int) -> tuple[Tensor, Tensor]:
        with (DATA / "clinc150" / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        order = torch.randperm(len(rows), generator=seeded(0))[:count].tolist()
        chosen = [rows[place] for place in order]
        numbers = [labels.setdefault(row["domain"], len(labels)) for row in chosen]
        return torch.stack([features_of(row["text"]) for row in chosen]), torch.tensor(numbers)

    count = ORGANISATIONS * EXAMPLES
    features, numbers = read("train.csv", count + ROOT_EXAMPLES)
    shape = (ORGANISATIONS, EXAMPLES)
    return Task(
        own=(features[:count].reshape(*shape, -1), numbers[:count].reshape(shape)),
        root=(features[None, count:], numbers[None, count:]),
        test=read("test.csv", 1500),
    )


def trained(start: Model, data: tuple[Tensor, Tensor]) -> Model:
    """Every organisation trains from the same start, all of them in one batch."""
    features, labels = data
    wide = [
        part.expand(len(features), *part.shape).clone() for part in (start.b, start.a, start.bias)
    ]
    parts = [part.requires_grad_() for part in wide]
    optimiser = torch.optim.SGD(parts, lr=RATE, momentum=0.9)
    for _ in range(STEPS):
        logits = Model(*parts).logits(features)
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimiser.zero_grad()
        (loss * len(features)).backward()
        optimiser.step()
    return Model(*[part.detach() for part in parts])


@lru_cache(maxsize=16)  # all campaigns begin with the same model
def trained_by_all(start: Model) -> tuple[Model, Model]:
    """What training makes of it at every organisation, and at the root of trust."""
    return trained(start, task().own), trained(start, task().root).one(0)


@cache
def beginning() -> Model:
    zeros = torch.zeros(DOMAINS, RANK)
    a = normal(seeded(7), RANK, FEATURES).float() / FEATURES**0.5
    return Model(zeros, a, torch.zeros(DOMAINS))


@lru_cache(maxsize=16)
def flipped(start: Model) -> Model:
    """What training makes of it at the liars under exchanged labels."""
    features, labels = task().own
    return trained(start, (features[:LIARS], DOMAINS - 1 - labels[:LIARS]))


def accuracy(model: Model) -> float:
    features, labels = task().test
    return float((model.logits(features).argmax(-1) == labels).double().mean())


# What the liars send: from the start, the honest models, and what training would have given them.
Attack = Callable[[Model, Model, Model], list[Model]]


def _moved(start: Model, change: Tensor) -> list[Model]:
    return [Model.of(start.dense + change)] * LIARS


def sign_flip(start: Model, honest: Model, own: Model) -> list[Model]:
    return [Model.of(start.dense - 10 * (one - start.dense)) for one in own.dense]


def gaussian(start: Model, honest: Model, own: Model) -> list[Model]:
    length = 10 * (honest.dense - start.dense).flatten(1).norm(dim=1).mean()
    drawn = [normal(seeded(seed), *start.dense.shape).float() for seed in range(LIARS)]
    return [Model.of(start.dense + length * one / one.norm()) for one in drawn]


def label_flip(start: Model, honest: Model, own: Model) -> list[Model]:
    bad = flipped(start)
    return [bad.one(place) for place in range(LIARS)]


def model_replacement(start: Model, honest: Model, own: Model) -> list[Model]:
    """Bagdasaryan et al. 2018, arXiv:1807.00459: scaled so that the mean is the attacker's."""
    bad = flipped(start).dense
    return [Model.of(start.dense + ORGANISATIONS * (one - start.dense)) for one in bad]


def gauge_rescale(start: Model, honest: Model, own: Model) -> list[Model]:
    """Honest models in other factors."""
    return [Model(one.b * 50, one.a / 50, one.bias) for one in map(own.one, range(LIARS))]


def alie(start: Model, honest: Model, own: Model) -> list[Model]:
    """A little is enough: Baruch et al. 2019, arXiv:1902.06635; as far off as stays unseen."""
    supporters = ORGANISATIONS // 2 + 1 - LIARS
    count = ORGANISATIONS - LIARS
    z = NormalDist().inv_cdf((count - supporters) / count)
    changes = honest.dense - start.dense
    return _moved(start, changes.mean(0) - z * changes.std(0))


def inner_product(start: Model, honest: Model, own: Model) -> list[Model]:
    """Xie et al. 2019, arXiv:1903.03936: against the mean, and short."""
    return _moved(start, -0.5 * (honest.dense - start.dense).mean(0))


def copycat(start: Model, honest: Model, own: Model) -> list[Model]:
    return [honest.one(0)] * LIARS


def zero(start: Model, honest: Model, own: Model) -> list[Model]:
    return [start] * LIARS


def none(start: Model, honest: Model, own: Model) -> list[Model]:
    return [own.one(place) for place in range(LIARS)]


ATTACKS: Mapping[str, Attack] = {
    "sign flip × 10": sign_flip,
    "Gaussian": gaussian,
    "label flip": label_flip,
    "model replacement": model_replacement,
    "gauge rescale": gauge_rescale,
    "ALIE": alie,
    "inner product": inner_product,
    "copycat": copycat,
    "zero": zero,
}


def campaign(
    folder: Path, attack: Attack, *, strategy: str = "stack_svd", **parts: object
) -> float:
    """The accuracy after some rounds in which the first two organisations lie."""
    start = beginning()
    for number in range(ROUNDS):
        place = folder / str(number)
        place.mkdir(parents=True)
        start = _after(place, start, attack, strategy, **parts)
    return accuracy(start)


def _after(folder: Path, start: Model, attack: Attack, strategy: str, **parts: object) -> Model:
    every, root = trained_by_all(start)
    own = Model(every.b[:LIARS], every.a[:LIARS], every.bias[:LIARS])
    honest = Model(every.b[LIARS:], every.a[LIARS:], every.bias[LIARS:])
    models = [*attack(start, honest, own), *map(honest.one, range(ORGANISATIONS - LIARS))]
    workshop = Workshop(folder)
    workshop.begin(_tensors(start))
    for model in models:
        workshop.add(_tensors(model), rank=RANK)
    if getattr(parts.get("rule"), "needs_root", False):
        workshop.add(_tensors(root), rank=RANK, is_root=True)
    workshop.aggregate(strategy, rank=RANK, **parts)
    found = workshop.result()
    pair = workshop.result_pair()
    return Model(pair.b.float(), pair.a.float(), found[HEAD])


def _tensors(model: Model) -> dict[str, Tensor]:
    return adapter(Pair(model.b, model.a), head=model.bias)
