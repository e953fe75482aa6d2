"""Strategies under which only a part of each pair is trained: what travels, what stays."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from federation.coded import check_update
from federation.codings import Feedback, codecs, encode_update
from federation.engine import change_norm, evidence_of
from federation.layout import LayoutRefused, lora_factor, read_layout
from federation.pairs import Pair
from federation.plan import Aggregation, FullWeights, Ia3, Plan
from federation.strategies import strategies
from federation.tensors import write_adapter
from federation.terms import TERMS
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.decoding import decode_update
from tests.federation.reference import dense_change, distance
from tests.strategies import Round, moved, normal, random_pair, rounds, seeded

A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"
ONE_FACTOR = [("ffa", 1, "B"), ("ffa", 2, "B"), ("rolora", 1, "B"), ("rolora", 2, "A")]
by_factor = pytest.mark.parametrize(("name", "number", "factor"), ONE_FACTOR)


@pytest.fixture(scope="session")
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


def half(pair: Pair, factor: str, **plain: Tensor) -> dict[str, Tensor]:
    """What an update holds of which one factor travels."""
    tensors = adapter(pair, **plain)
    return {name: t for name, t in tensors.items() if lora_factor(name) in {factor, None}}


def only(case: Round, factor: str) -> Round:
    """The same round, had nobody trained the other factor."""
    start = case.start
    pairs = [
        (w, Pair(p.b, start.a) if factor == "B" else Pair(start.b, p.a)) for w, p in case.updates
    ]
    return case.having(pairs)


def sent(workshop: Workshop, case: Round, factor: str) -> None:
    workshop.begin(adapter(case.start))
    for weight, pair in case.updates:
        workshop.add(half(pair, factor), weight=1000 * weight, rank=case.start.rank)


def test_every_strategy_has_terms_and_can_be_planned():
    choices = set(get_args(Aggregation.model_fields["strategy"].annotation))
    assert choices == set(TERMS) == set(strategies)


@pytest.mark.parametrize("name", sorted(TERMS))
@pytest.mark.parametrize("adapter_part", [Ia3(), FullWeights()], ids=lambda one: one.type)
def test_a_plan_without_pairs_takes_only_what_needs_none(name, adapter_part):
    asked = {"task": {"type": "causal_lm"}, "adapter": adapter_part.model_dump()}
    asked["aggregation"] = {"strategy": name}
    if not TERMS[name].needs_lora:
        assert Plan.model_validate(asked).aggregation.strategy == name
        return
    with pytest.raises(ValueError, match=f"{name} is about the factors of LoRA"):
        Plan.model_validate(asked)


@by_factor
@given(case=rounds(equal_ranks=True))
def test_agg_1_the_mean_of_one_factor_is_the_mean_of_the_changes(
    make_workshop, name, number, factor, case
):
    workshop = make_workshop()
    sent(workshop, case, factor)
    travels = TERMS[name].travels(number)
    report = workshop.aggregate(name, rank=case.start.rank, clip=1e9, travels=travels)
    assert distance(workshop.result_pair().dense(), dense_change(only(case, factor))) < 1e-5
    assert report.relative_error < 1e-6


@by_factor
def test_agg_9_the_other_factor_stays_to_the_byte(make_workshop, name, number, factor):
    workshop, generator = make_workshop(), seeded(2)
    start = random_pair(generator, 60, 50, 4)
    start.a[0, 0] = start.b[0, 0] = -0.0
    workshop.begin(adapter(start))
    for weight in (1, 2, 5):
        workshop.add(half(moved(generator, start), factor), weight=weight, rank=4)
    workshop.aggregate(name, rank=4, travels=TERMS[name].travels(number))
    frozen, moving = (A, B) if factor == "B" else (B, A)
    before, after = load_file(workshop.start), workshop.result()
    assert after[frozen].view(torch.int32).equal(before[frozen].view(torch.int32))
    assert not after[moving].equal(before[moving])


@by_factor
def test_agg_12_evidence_of_one_factor_is_that_of_the_dense_changes(
    make_workshop, name, number, factor
):
    workshop, generator = make_workshop(), seeded(3)
    start, head = random_pair(generator, 30, 20, 4), normal(generator, 3, 20)
    workshop.begin(adapter(start, head=head))
    dense = {}
    for _ in range(4):
        pair, own = moved(generator, start), head + normal(generator, 3, 20)
        digest = workshop.add(half(pair, factor, head=own), rank=4)
        whole = Pair(pair.b, start.a) if factor == "B" else Pair(start.b, pair.a)
        change = 2.0 * (whole.dense() - start.dense())
        dense[digest] = torch.cat([change.flatten(), (own - head).flatten()])
    travels = TERMS[name].travels(number)
    found = evidence_of(start=workshop.start, updates=workshop.updates, scale=2.0, travels=travels)
    beside = torch.stack([dense[digest] for digest in found.digests])
    torch.testing.assert_close(
        torch.tensor(found.products).double(), beside @ beside.T, rtol=1e-5, atol=1e-4
    )
    one = workshop.updates[0]
    norm = change_norm(start=workshop.start, update=one.path, rank=4, scale=2.0, travels=travels)
    assert norm == pytest.approx(found.norm(found.digests.index(one.digest)))


@by_factor
def test_an_update_holds_what_travels_and_nothing_else(tmp_path, name, number, factor):
    start, path = random_pair(seeded(1), 8, 6, 2), tmp_path / "update"
    write_adapter(tmp_path / "start", adapter(start, head=torch.ones(2, 6)).items())
    layout, travels = read_layout(tmp_path / "start"), TERMS[name].travels(number)

    def check() -> None:
        check_update(path, start=layout, rank=2, codec="fp32", travels=travels)

    write_adapter(path, half(start, factor, head=torch.ones(2, 6)).items())
    check()
    values = {"A": 2 * 6, "B": 8 * 2}[factor]
    data = path.stat().st_size - read_layout(path).data_start
    assert data == 4 * (values + 2 * 6), "one factor and the head"
    write_adapter(path, adapter(start, head=torch.ones(2, 6)).items())
    with pytest.raises(LayoutRefused, match="extra_tensor"):
        check()
    write_adapter(path, half(start, factor).items())
    with pytest.raises(LayoutRefused, match="missing_tensor"):
        check()
    write_adapter(path, half(start, "A" if factor == "B" else "B", head=torch.ones(2, 6)).items())
    with pytest.raises(LayoutRefused, match="missing_tensor"):
        check()


@pytest.mark.parametrize("codec", sorted(codecs))
def test_half_an_adapter_is_coded_as_half(tmp_path, codec):
    generator = seeded(5)
    start, head = random_pair(generator, 40, 56, 3), normal(generator, 5, 40)
    later = moved(generator, start)
    paths = {name: tmp_path / name for name in ("start", "update", "coded", "decoded")}
    write_adapter(paths["start"], adapter(start, head=head).items())
    write_adapter(paths["update"], half(later, "B", head=head).items())
    travels = TERMS["ffa"].travels(1)
    encode_update(
        start=paths["start"],
        update=paths["update"],
        codec=codec,
        target=paths["coded"],
        travels=travels,
    )
    decode_update(
        start=paths["start"],
        update=paths["coded"],
        rank=3,
        codec=codec,
        target=paths["decoded"],
        travels=travels,
    )
    decoded = load_file(paths["decoded"])
    assert decoded[A].equal(start.a.float())
    assert decoded[HEAD].equal(head.float())
    assert distance(decoded[B].double() - start.b, later.b - start.b) < 0.2
    assert A not in read_layout_names(paths["coded"])


def read_layout_names(path: Path) -> set[str]:
    return set(read_layout(path, {"F32": 4, "BF16": 2, "I8": 1, "U8": 1}).tensors)


@given(seed=st.integers(0, 2**16))
def test_what_is_lost_of_a_factor_waits_until_it_travels_again(tmp_path_factory, seed):
    folder, generator = tmp_path_factory.mktemp("feedback"), seeded(seed)
    start = random_pair(generator, 40, 56, 3)
    write_adapter(folder / "start", adapter(start).items())
    carried: Path | None = None
    losses = []
    for number in (1, 2, 3):
        travels, left = TERMS["rolora"].travels(number), folder / f"left{number}"
        factor = "B" if number % 2 else "A"
        write_adapter(folder / "update", half(moved(generator, start), factor).items())
        encode_update(
            start=folder / "start",
            update=folder / "update",
            codec="nf4",
            target=folder / "coded",
            feedback=Feedback(carried, left, keeps_basis=True),
            travels=travels,
        )
        losses.append(load_file(left))
        carried = left
    first, second, third = losses
    assert set(first) == {B}
    assert set(second) == set(third) == {A, B}
    assert second[B].equal(first[B])
    assert third[A].equal(second[A])
    assert not third[B].equal(second[B])
