"""A round as one adapter in which every component has an owner."""

from __future__ import annotations

from math import fsum

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from federation import stacked
from federation.layout import LayoutRefused, lora_factor, read_layout
from federation.pairs import Pair
from federation.stacked import masked, shares_of, write_stacked
from federation.tensors import sha256_of
from federation.terms import TERMS
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.reference import dense_change, distance
from tests.strategies import Round, moved, random_pair, rounds, seeded

A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"


@pytest.fixture(scope="session")
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


def product(tensors: dict[str, Tensor]) -> Tensor:
    return tensors[B].double() @ tensors[A].double()


def stack(workshop: Workshop, case: Round, **changed: object) -> dict[str, Tensor]:
    """Stack a round with a head that moves, too; digests are in the order of the updates."""
    workshop.begin(adapter(case.start, head=torch.zeros(2, 3)))
    for number, (weight, pair) in enumerate(case.updates):
        tensors = adapter(pair, head=torch.full((2, 3), number + 1.0))
        workshop.add(tensors, weight=weight, rank=pair.rank)
    weights = {u.digest: w for u, (w, _) in zip(workshop.updates, case.updates, strict=True)}
    given = {"updates": workshop.updates, "weights": weights, "target": workshop.target}
    write_stacked(start=workshop.start, **(given | changed))
    return workshop.result()


@given(case=rounds())
def test_agg_1_the_product_is_the_exact_change(make_workshop, case):
    workshop = make_workshop()
    found = stack(workshop, case)
    assert distance(product(found), dense_change(case)) < 1e-5
    shares = shares_of(read_layout(workshop.target))
    assert (
        found[A].shape[0]
        == shares[-1].last
        == case.start.rank + 2 * sum(pair.rank for _, pair in case.updates)
    )


@given(case=rounds(min_size=2), data=st.data())
def test_a_coalition_is_the_round_of_its_members(make_workshop, case, data):
    workshop = make_workshop()
    stack(workshop, case)
    places = data.draw(st.sets(st.integers(0, len(case.updates) - 1), min_size=1))
    total = fsum(case.updates[place][0] for place in places)
    members = [(case.updates[p][0] / total, case.updates[p][1]) for p in sorted(places)]
    digests = {workshop.updates[place].digest for place in places}
    target = workshop.folder / "coalition"
    masked(workshop.target, digests, target)
    found = load_file(target)
    assert set(found) == {A, B, HEAD}
    assert distance(product(found), dense_change(case.having(members))) < 1e-5
    head = sum(case.updates[p][0] / total * (p + 1) for p in places)
    torch.testing.assert_close(found[HEAD], torch.full((2, 3), float(head)))


@given(case=rounds())
def test_of_nobody_it_is_the_start_and_of_all_it_is_the_round(make_workshop, case):
    workshop = make_workshop()
    whole = stack(workshop, case)
    masked(workshop.target, set(), workshop.folder / "nobody")
    nobody = load_file(workshop.folder / "nobody")
    assert torch.equal(nobody[A], case.start.a.float())
    assert torch.equal(nobody[B], case.start.b.float())
    assert not nobody[HEAD].any()
    everybody = {update.digest for update in workshop.updates}
    masked(workshop.target, everybody, workshop.folder / "all")
    assert distance(product(load_file(workshop.folder / "all")), product(whole)) < 1e-6


def test_components_have_owners_and_tell_what_each_did(make_workshop):
    workshop, generator = make_workshop(), seeded(1)
    start = random_pair(generator, 20, 15, 3)
    case = Round(start, [(0.5, moved(generator, start.leading(r))) for r in (1, 3)])
    found = stack(workshop, case)
    by_digest = {
        u.digest: pair for u, (_, pair) in zip(workshop.updates, case.updates, strict=True)
    }
    shares = shares_of(read_layout(workshop.target))
    assert [share.digest for share in shares] == sorted(by_digest)
    for share in shares:
        own = slice(share.first, share.last)
        change = found[B][:, own].double() @ found[A][own].double()
        pair = by_digest[share.digest]
        expected = pair.dense() - start.leading(pair.rank).dense()
        assert distance(change, share.weight * expected) < 1e-5


@pytest.mark.parametrize(("name", "number"), [("ffa", 1), ("rolora", 2)])
def test_where_one_factor_travels_a_change_has_the_rank_of_its_update(make_workshop, name, number):
    workshop, generator = make_workshop(), seeded(2)
    start, travels = random_pair(generator, 20, 15, 3), TERMS[name].travels(number)
    workshop.begin(adapter(start))
    expected = start.dense()
    for _ in range(3):
        pair = moved(generator, start)
        sent = {n: t for n, t in adapter(pair).items() if travels(n)}
        workshop.add(sent, rank=3)
        factor = lora_factor(next(iter(sent)))
        whole = Pair(pair.b, start.a) if factor == "B" else Pair(start.b, pair.a)
        expected = expected + (whole.dense() - start.dense()) / 3
    write_stacked(
        start=workshop.start,
        updates=workshop.updates,
        weights=dict.fromkeys((u.digest for u in workshop.updates), 1 / 3),
        target=workshop.target,
        travels=travels,
    )
    found = workshop.result()
    assert found[A].shape == (3 + 3 * 3, 15)
    assert distance(product(found), expected) < 1e-5


def test_it_is_the_same_in_any_order_and_in_bands(make_workshop, monkeypatch):
    workshop, generator = make_workshop(), seeded(3)
    start = random_pair(generator, 50, 15, 3)
    case = Round(start, [(0.25, moved(generator, start)) for _ in range(4)])
    stack(workshop, case)
    digest = sha256_of(workshop.target)
    monkeypatch.setattr(stacked, "_TOGETHER", 100)
    write_stacked(
        start=workshop.start,
        updates=workshop.updates[::-1],
        weights=dict.fromkeys((u.digest for u in workshop.updates), 0.25),
        target=workshop.target,
    )
    assert sha256_of(workshop.target) == digest


def test_a_residual_of_the_start_is_the_start_s(make_workshop):
    workshop, generator = make_workshop(), seeded(4)
    start = random_pair(generator, 20, 15, 2)
    more = random_pair(generator, 20, 15, 5)
    residual = {f"{MODULE}.residual_A.weight": more.a, f"{MODULE}.residual_B.weight": more.b}
    workshop.begin(adapter(start) | residual)
    pair = moved(generator, start)
    digest = workshop.add(adapter(pair), rank=2)
    write_stacked(
        start=workshop.start,
        updates=workshop.updates,
        weights={digest: 1.0},
        target=workshop.target,
        travels=TERMS["fedex"].travels(1),
    )
    assert distance(product(workshop.result()), pair.dense() + more.dense()) < 1e-5


def test_adapters_without_pairs_are_told_apart_as_well(make_workshop):
    workshop = make_workshop()
    workshop.begin({"x": torch.ones(5)})
    digests = [workshop.add({"x": torch.full((5,), value)}) for value in (2.0, 4.0)]
    write_stacked(
        start=workshop.start,
        updates=workshop.updates,
        weights=dict.fromkeys(digests, 0.5),
        target=workshop.target,
    )
    masked(workshop.target, digests[:1], workshop.folder / "first")
    assert load_file(workshop.folder / "first")["x"].tolist() == [2.0] * 5


def test_what_is_no_stack_or_not_in_it_is_refused(make_workshop):
    workshop, generator = make_workshop(), seeded(5)
    start = random_pair(generator, 20, 15, 2)
    stack(workshop, Round(start, [(1.0, moved(generator, start))]))
    with pytest.raises(LayoutRefused, match="no stacked adapter"):
        masked(workshop.start, set(), workshop.folder / "none")
    with pytest.raises(KeyError):
        masked(workshop.target, {"0" * 64}, workshop.folder / "none")
