"""Five organisations with two domains of CLINC150 each: what they pool to, and what harms one.

The model gives each text the intent whose mean of hashed features is nearest.
"""

from __future__ import annotations

import csv
from functools import cache
from math import isclose

import numpy as np
import pytest
import torch
from torch import Tensor

from federation.figures import accuracy, area_under_curve, macro_f1, mean_loss, tail
from federation.gates import Case, Measured, Verdict, judgements
from federation.plan_gates import Gates
from federation.tallies import inconsistencies, pool
from tests.federation.attacks import DATA, features_of
from tests.federation.test_tallies import EXACT, area_of, f1_of, recalls_of, result, rows

pytestmark = pytest.mark.skipif(
    not (DATA / "clinc150").is_dir(), reason=f"the data of the task is not in {DATA}"
)
OWNERS = {
    domain: owner
    for owner, domains in enumerate(
        (
            ("banking", "credit_cards"),
            ("kitchen_and_dining", "home"),
            ("travel", "auto_and_commute"),
            ("work", "utility"),
            ("small_talk", "meta"),
        )
    )
    for domain in domains
}
SMALLEST, SMALL = 4, 60


@cache
def read(name: str, every: int) -> tuple[Tensor, Tensor, Tensor]:
    """Features, intents and owners of every so many rows."""
    with (DATA / "clinc150" / name).open(newline="") as file:
        taken = list(csv.DictReader(file))[::every]
    features = torch.stack([features_of(row["text"]) for row in taken]).double()
    intents = torch.tensor([names().index(row["intent"]) for row in taken])
    return features, intents, torch.tensor([OWNERS[row["domain"]] for row in taken])


@cache
def names() -> list[str]:
    with (DATA / "clinc150" / "test.csv").open(newline="") as file:
        return sorted({row["intent"] for row in csv.DictReader(file)})


def means(features: Tensor, intents: Tensor) -> Tensor:
    """Of each intent, of length 1."""
    found = torch.zeros(len(names()), features.shape[1], dtype=torch.float64)
    found.index_add_(0, intents, features)
    return found / found.norm(dim=1, keepdim=True).clamp_min(1e-9)


def logits(features: Tensor, known: Tensor) -> Tensor:
    return (20 * features @ known.T).float()


def test_they_pool_to_what_one_place_would_have_measured() -> None:
    features, truths, owners = read("test.csv", 3)
    answers = logits(features, means(*read("train.csv", 10)[:2]))
    parts = [(owners == one).nonzero()[:, 0] for one in range(5)]
    pooled = pool(result(answers[part], truths[part]) for part in parts)
    whole = result(answers, truths)
    said = answers.argmax(dim=1)
    assert (len(names()), min(map(len, parts)) > 0) == (150, True)
    assert pooled.confusion == whole.confusion
    assert pooled.scores == whole.scores
    assert isclose(accuracy(pooled), (said == truths).double().mean().item(), abs_tol=EXACT)
    assert isclose(macro_f1(pooled.confusion), f1_of(truths.numpy(), said.numpy()), abs_tol=EXACT)
    losses = -answers.log_softmax(dim=1)[torch.arange(len(truths)), truths].double()
    assert isclose(mean_loss(pooled), losses.mean().item(), rel_tol=EXACT)
    recalls = recalls_of(truths.numpy(), said.numpy())
    assert [one.recall for one in tail(pooled.confusion, 5)] == pytest.approx(sorted(recalls)[:5])
    is_right = torch.nn.functional.one_hot(truths, 150).bool()
    exact = area_of(is_right.flatten().numpy(), answers.softmax(dim=1).flatten().numpy())
    assert area_under_curve(pooled.scores) == pytest.approx(exact, abs=1e-3)
    assert not list(inconsistencies(pooled, labels=150))


def test_a_version_that_harms_the_smallest_is_seen_though_all_together_gain() -> None:
    """What is released has seen a little of everything; the next, much of four, none of one."""
    features, intents, owners = read("train.csv", 10)
    few = np.arange(0, len(intents), 5)
    released = means(features[few], intents[few])
    kept = owners != SMALLEST
    candidate = means(features[kept], intents[kept])
    asked, truths, whose = read("test.csv", 3)
    measured = []
    for owner in range(5):
        mine = (whose == owner).nonzero()[:, 0][: SMALL if owner == SMALLEST else None]
        ours, theirs = (logits(asked[mine], known) for known in (candidate, released))
        found = result(ours, truths[mine], beside=rows(theirs, truths[mine]))
        measured.append(Measured(f"organisation {owner}", found))
    gates = Gates(below_release_at_most=0.0, organisation_below_release_at_most=0.02)
    pooled, each = (one for _, one in judgements(Case(gates, measured)))
    assert (pooled.verdict, pooled.is_sure) == (Verdict.PASS, True)
    assert (each.verdict, each.who, each.is_sure) == (Verdict.FAIL, "organisation 4", True)
