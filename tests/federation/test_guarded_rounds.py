"""Rules and combinations in the engine: whole rounds over files."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from federation.combinations import combinations
from federation.engine import evidence_of
from federation.pairs import Pair
from federation.registry import configured
from federation.rules import rules
from federation.strategies import AggregationRefused
from federation.tensors import write_adapter
from tests.federation.adapters import MODULE, Workshop, adapter
from tests.federation.reference import distance
from tests.strategies import moved, normal, random_pair, regauged, seeded

COUNT, RANK, WIDE = 11, 3, 14
GUARDS: dict[str, dict[str, object]] = {
    **{name: {"rule": configured(rules, name, liars=2)} for name in rules if name != "bulyan"},
    **{
        name: {"combination": configured(combinations, name, liars=2)}
        for name in combinations
        if name not in {"mean", "near_median"}
    },
    "bulyan": {
        "rule": rules["bulyan"](liars=2),
        "combination": combinations["near_median"](liars=2),
    },
}
every_guard = pytest.mark.parametrize("name", sorted(GUARDS))


@pytest.fixture
def workshop(tmp_path) -> Workshop:
    return Workshop(tmp_path)


def filled(workshop: Workshop, name: str, *, gauge: float | None = None) -> list[Pair]:
    """Updates near each other; the first in other factors, where a `gauge` says so."""
    generator = seeded(1)
    start = random_pair(generator, 20, 14, RANK)
    common = moved(generator, start)
    head = normal(generator, 6)
    workshop.begin(adapter(start, head=torch.zeros(6)))
    pairs = []
    for number in range(COUNT):
        noise = random_pair(generator, 20, 14, RANK)
        pair = Pair(common.b + 0.1 * noise.b, common.a + 0.1 * noise.a)
        pairs.append(pair)
        if number == 0 and gauge:
            pair = Pair(pair.b * gauge, pair.a / gauge)
        tensors = adapter(pair, head=head + 0.1 * normal(generator, 6))
        workshop.add(tensors, weight=number + 1, rank=RANK)
    if _needs_root(name):
        workshop.add(adapter(common, head=head), rank=RANK, is_root=True)
    return pairs


def _needs_root(name: str) -> bool:
    return name in rules and configured(rules, name).needs_root


def dense(workshop: Workshop) -> torch.Tensor:
    return workshop.result_pair().dense()


@every_guard
def test_other_factors_of_the_same_change_leave_every_method_unchanged(tmp_path, name):
    for gauge in (1, 50):
        (tmp_path / str(gauge)).mkdir()
    plain, other = Workshop(tmp_path / "1"), Workshop(tmp_path / "50")
    filled(plain, name)
    filled(other, name, gauge=50)
    plain.aggregate(rank=WIDE, **GUARDS[name])
    other.aggregate(rank=WIDE, **GUARDS[name])
    assert distance(dense(other), dense(plain)) < 1e-4
    torch.testing.assert_close(other.result(), plain.result() | _factors(other), rtol=1e-4, atol=0)
    if "rule" not in GUARDS[name] or name == "shares":
        plain.aggregate("fedavg", rank=RANK, **GUARDS[name])
        other.aggregate("fedavg", rank=RANK, **GUARDS[name])
        assert distance(dense(other), dense(plain)) > 1e-3


def _factors(workshop: Workshop) -> dict[str, torch.Tensor]:
    return {key: value for key, value in workshop.result().items() if key.startswith(MODULE)}


@every_guard
def test_the_same_inputs_give_the_same_bytes(workshop, name):
    filled(workshop, name)
    first = workshop.aggregate(rank=RANK, **GUARDS[name])
    again = workshop.aggregate(rank=RANK, updates=workshop.updates[::-1], **GUARDS[name])
    assert first.digest == again.digest
    assert first.weights == again.weights


@every_guard
def test_a_guard_counts_heads_and_not_claimed_examples(workshop, name):
    filled(workshop, name)
    given = workshop.aggregate(rank=RANK, **GUARDS[name])
    workshop.updates[0] = replace(workshop.updates[0], weight=1e9)
    claimed = workshop.aggregate(rank=RANK, **GUARDS[name])
    assert (claimed.digest == given.digest) == (name != "shares")


@every_guard
def test_an_update_without_examples_is_left_out(workshop, name):
    filled(workshop, name)
    workshop.add(
        adapter(random_pair(seeded(9), 20, 14, RANK), head=torch.full((6,), 1e3)),
        weight=0.0,
        rank=RANK,
    )
    digest = workshop.updates[-1].digest
    report = workshop.aggregate(rank=RANK, clip=1e9, **GUARDS[name])
    assert report.weights[digest] == 0
    found = dense(workshop)
    workshop.aggregate(rank=RANK, clip=1e9, updates=workshop.updates[:-1], **GUARDS[name])
    assert distance(found, dense(workshop)) < 1e-6


@every_guard
def test_fewer_updates_than_a_guard_needs_are_refused(workshop, name):
    filled(workshop, name)
    parts = GUARDS[name]
    fewest = max(part.fewest() for part in parts.values())  # type: ignore[attr-defined]
    roots = [update for update in workshop.updates if update.is_root]
    few = workshop.updates[: fewest - len(roots)]
    assert workshop.aggregate(rank=RANK, updates=[*few, *roots], **parts).digest
    if fewest == 1:
        return
    with pytest.raises(AggregationRefused, match="too_few_updates"):
        workshop.aggregate(rank=RANK, updates=[*few[1:], *roots], **parts)


@every_guard
@pytest.mark.parametrize("strategy", ["fedavg", "stack_svd"])
def test_what_counts_nothing_is_not_read_for_the_result(workshop, strategy, name):
    filled(workshop, name)
    evidence = evidence_of(start=workshop.start, updates=workshop.updates, scale=1.0)
    how = {"rank": RANK, "evidence": evidence, **GUARDS[name]}
    report = workshop.aggregate(strategy, **how)
    left_out = [one for one in workshop.updates if not report.weights[one.digest]]
    assert left_out or name not in {"krum", "multi_krum", "fltrust", "bulyan"}
    for update in left_out:
        held = load_file(update.path)
        write_adapter(
            update.path, {n: torch.full_like(v, torch.nan) for n, v in held.items()}.items()
        )
    assert workshop.aggregate(strategy, **how).digest == report.digest


def test_the_root_of_trust_judges_and_does_not_count(workshop):
    filled(workshop, "fltrust")
    root = workshop.updates[-1]
    parts = GUARDS["fltrust"]
    assert workshop.aggregate(rank=RANK, **parts).weights[root.digest] == 0
    with pytest.raises(AggregationRefused, match="no_root"):
        workshop.aggregate(rank=RANK, updates=workshop.updates[:-1], **parts)
    with pytest.raises(AggregationRefused, match="no_updates"):
        workshop.aggregate(rank=RANK, updates=[root], **parts)


def test_evidence_that_was_taken_before_knows_the_root(workshop):
    filled(workshop, "fltrust")
    parts = GUARDS["fltrust"]
    evidence = evidence_of(start=workshop.start, updates=workshop.updates, scale=1.0)
    given = workshop.aggregate(rank=RANK, evidence=replace(evidence, root=None), **parts)
    assert given.digest == workshop.aggregate(rank=RANK, **parts).digest


def test_krum_publishes_one_of_the_updates(workshop):
    pairs = filled(workshop, "krum")
    report = workshop.aggregate(rank=RANK, clip=1e9, **GUARDS["krum"])
    (chosen,) = [digest for digest, weight in report.weights.items() if weight > 0]
    place = [update.digest for update in workshop.updates].index(chosen)
    assert distance(dense(workshop), regauged(seeded(1), pairs[place]).dense()) < 1e-5
