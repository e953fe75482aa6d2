"""The loss on a probe set as a sign, on the small real task of the attacks."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from torch import Tensor

from federation.suspicion import Losses, harms_of
from tests.federation.attacks import DATA, DOMAINS, Model, beginning, task, trained
from tests.strategies import seeded

SITES, EXAMPLES, ROUNDS, PROBE = 8, 400, 3, 256

pytestmark = pytest.mark.skipif(
    not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
)


def split(own: float) -> tuple[Tensor, Tensor]:
    """Each site's examples; the share `own` of them is of two domains that it knows best."""
    features, labels = (part.flatten(0, 1) for part in task().own)
    dice = seeded(5)
    chosen = [_site(labels, site, own, dice) for site in range(SITES)]
    return torch.stack([features[one] for one in chosen]), torch.stack([labels[o] for o in chosen])


def _site(labels: Tensor, site: int, own: float, dice: torch.Generator) -> Tensor:
    known = (labels == site % DOMAINS) | (labels == (site + 3) % DOMAINS)
    count = round(own * EXAMPLES)
    mine, any_of = known.nonzero()[:, 0], torch.arange(len(labels))
    return torch.cat(
        [
            mine[torch.randperm(len(mine), generator=dice)[:count]],
            any_of[torch.randperm(len(any_of), generator=dice)[: EXAMPLES - count]],
        ]
    )


@cache
def rounds(own: float) -> list[tuple[Model, Model, tuple[Tensor, Tensor]]]:
    """Of each round: its start, what training makes of it at every site, and their data."""
    data, start, found = split(own), beginning(), []
    for _ in range(ROUNDS):
        every = trained(start, data)
        found.append((start, every, data))
        start = Model.of(every.dense.mean(0))
    return found


def loss(model: Model) -> float:
    features, labels = task().test
    logits = model.logits(features[:PROBE])
    return float(torch.nn.functional.cross_entropy(logits, labels[:PROBE]))


def named(start: Model, models: list[Model]) -> list[int]:
    before = loss(start)
    harms = harms_of(Losses(before, tuple(loss(one) - before for one in models)))
    return [place for place, harm in enumerate(harms) if harm.is_odd]


@pytest.mark.parametrize("own", [0.0, 0.3, 0.6, 0.9])
def test_honest_sites_are_not_named_however_much_their_data_differ(own: float) -> None:
    for start, every, _ in rounds(own):
        assert named(start, [every.one(site) for site in range(SITES)]) == []


@pytest.mark.parametrize("own", [0.0, 0.3])
def test_a_flipped_sign_is_named_and_nobody_else(own: float) -> None:
    for start, every, _ in rounds(own)[1:]:
        flipped = Model.of(start.dense - 2 * (every.dense[0] - start.dense))
        models = [flipped, *(every.one(site) for site in range(1, SITES))]
        assert named(start, models) == [0]


def test_flipped_labels_are_named_once_the_model_knows_something() -> None:
    start, every, (features, labels) = rounds(0.0)[2]
    liar = trained(start, (features[:1], DOMAINS - 1 - labels[:1])).one(0)
    models = [liar, *(every.one(site) for site in range(1, SITES))]
    assert named(start, models) == [0]
