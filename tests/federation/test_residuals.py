"""Averaged factors with what they miss beside them: FedEx-LoRA."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from federation.combinations import combinations
from federation.engine import AggregationRefused, AggregationReport
from federation.layout import RESIDUAL_A, RESIDUAL_B, expected_shapes, read_layout, residual_rank
from federation.method import Method
from federation.pairs import Pair
from federation.plan import Plan
from federation.publishing import is_plain, publish
from federation.registry import configured
from federation.strategies import Member, strategies
from federation.tensors import cut_rank, write_adapter
from federation.terms import TERMS
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.reference import dense_change, distance
from tests.strategies import Round, moved, normal, random_pair, regauged, rounds, seeded

TRAVELS = TERMS["fedex"].travels(1)
R_A, R_B = MODULE + RESIDUAL_A, MODULE + RESIDUAL_B


@pytest.fixture(scope="session")
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


def residual_of(case: Round) -> Tensor:
    """What the definition says: Σ pᵢ BᵢAᵢ − B̄Ā."""
    mean_b = sum(w * pair.b for w, pair in case.updates)
    mean_a = sum(w * pair.a for w, pair in case.updates)
    return sum(w * pair.dense() for w, pair in case.updates) - mean_b @ mean_a


def combined(case: Round):
    members = [Member(weight, pair) for weight, pair in case.updates]
    return configured(strategies, "fedex").combine(case.start, members, case.start.rank)


def dense(tensors: dict[str, Tensor]) -> Tensor:
    a, b = (tensors[f"{MODULE}.lora_{factor}.weight"].double() for factor in "AB")
    whole = b @ a
    return whole + tensors[R_B].double() @ tensors[R_A].double() if R_A in tensors else whole


def played(workshop: Workshop, case: Round, **changed: object) -> AggregationReport:
    workshop.begin(adapter(case.start))
    return sent(workshop, case, **changed)


def sent(workshop: Workshop, case: Round, **changed: object) -> AggregationReport:
    workshop.updates.clear()
    for weight, pair in case.updates:
        workshop.add(adapter(pair), weight=1000 * weight, rank=case.start.rank)
    given = {"rank": case.start.rank, "clip": 1e9, "travels": TRAVELS}
    return workshop.aggregate("fedex", **(given | changed))


@given(case=rounds(equal_ranks=True))
def test_agg_4_the_residual_is_what_the_means_miss(case):
    found, expected = combined(case), residual_of(case)
    size = float(dense_change(case).norm())
    assert float((found.residual.dense() - expected).norm()) < 1e-12 * size
    assert distance(found.whole.dense(), dense_change(case)) < 1e-12
    rank = torch.linalg.matrix_rank(expected, atol=1e-10 * size)
    assert rank <= (len(case.updates) - 1) * case.start.rank


@pytest.mark.parametrize("factor", ["a", "b"])
@given(case=rounds(equal_ranks=True), seed=st.integers(0, 2**16))
def test_agg_4_there_is_no_residual_where_one_factor_is_everywhere_the_same(factor, case, seed):
    same = moved(seeded(seed), case.start)
    pairs = [
        (w, Pair(p.b, same.a) if factor == "a" else Pair(same.b, p.a)) for w, p in case.updates
    ]
    assert not combined(case.having(pairs)).residual.rank


@given(case=rounds(equal_ranks=True), seed=st.integers(0, 2**16))
def test_agg_2_and_4_state_and_all_over_two_rounds(make_workshop, case, seed):
    """The second round starts from what the first has written, residual and all."""
    workshop, generator = make_workshop(), seeded(seed)
    count, rank = len(case.updates), case.start.rank
    report = played(workshop, case)
    first = {name: value.clone() for name, value in workshop.result().items()}
    assert distance(dense(first), dense_change(case)) < 1e-5
    assert report.relative_error < 1e-12
    largest = min(case.start.size)
    assert residual_rank(read_layout(workshop.target)) == min((count - 1) * rank, largest)

    workshop.begin(first)
    start = Pair(*(first[f"{MODULE}.lora_{factor}.weight"].double() for factor in "BA"))
    again = Round(start, [(w, moved(generator, start)) for w, _ in case.updates])
    sent(workshop, again)
    expected = dense(first) + dense_change(again) - start.dense()
    assert distance(dense(workshop.result()), expected) < 1e-5
    assert residual_rank(read_layout(workshop.target)) == min(2 * (count - 1) * rank, largest)

    other = again.having([(w, regauged(generator, pair)) for w, pair in again.updates])
    sent(workshop, other)
    assert distance(dense(workshop.result()), expected) < 1e-4


def test_a_bound_on_the_residual_is_kept_and_what_it_costs_is_said(make_workshop):
    workshop, generator = make_workshop(), seeded(3)
    start = random_pair(generator, 40, 30, 3)
    case = Round(start, [(0.25, moved(generator, start)) for _ in range(4)])
    report = played(workshop, case, residual_rank=2)
    assert residual_rank(read_layout(workshop.target)) == 2
    lost = dense_change(case) - dense(workshop.result())
    share = float(lost.norm() / dense_change(case).norm())
    assert report.relative_error == pytest.approx(share, rel=1e-4)
    assert report.discarded_energy == pytest.approx(share**2, rel=1e-4)
    assert report.ranks == {MODULE: 5}
    best = torch.linalg.svdvals(residual_of(case))[2:].square().sum().sqrt()
    assert float(lost.norm()) == pytest.approx(float(best), rel=1e-4)


def test_a_bounded_norm_leaves_some_of_the_start(make_workshop):
    """The weights then do not add up to one, and the start is one more member."""
    workshop, generator = make_workshop(), seeded(4)
    start = random_pair(generator, 40, 30, 2)
    case = Round(start, [(0.5, moved(generator, start)) for _ in range(2)])
    report = played(workshop, case, clip=1.0)
    change = sum(
        report.weights[u.digest] * (pair.dense() - start.dense())
        for u, (_, pair) in zip(workshop.updates, case.updates, strict=True)
    )
    assert distance(dense(workshop.result()) - start.dense(), change) < 1e-4
    assert residual_rank(read_layout(workshop.target)) == 4


def test_a_median_of_changes_goes_into_the_residual(make_workshop):
    workshop, generator = make_workshop(), seeded(5)
    start = random_pair(generator, 12, 9, 2)
    case = Round(start, [(0.2, moved(generator, start)) for _ in range(5)])
    played(workshop, case, combination=combinations["median"]())
    result = workshop.result()
    changes = torch.stack([pair.dense() - start.dense() for _, pair in case.updates])
    assert distance(dense(result) - start.dense(), changes.median(dim=0).values) < 1e-5
    assert torch.equal(result[f"{MODULE}.lora_A.weight"], start.a.float())


def test_one_update_alone_needs_no_residual(make_workshop):
    workshop, generator = make_workshop(), seeded(6)
    start = random_pair(generator, 12, 9, 2)
    played(workshop, Round(start, [(1.0, moved(generator, start))]))
    assert is_plain(read_layout(workshop.target))


def test_modules_of_different_sizes_have_residuals_of_one_rank(make_workshop):
    """So what is published is plain LoRA of one rank; small modules have zeros."""
    workshop, generator = make_workshop(), seeded(7)
    small, large = random_pair(generator, 5, 4, 2), random_pair(generator, 30, 20, 2)

    def tensors(one: Pair, other: Pair) -> dict[str, Tensor]:
        renamed = {name.replace("query", "value"): t for name, t in adapter(other).items()}
        return adapter(one, head=torch.ones(2, 4)) | renamed

    workshop.begin(tensors(small, large))
    for _ in range(5):
        workshop.add(tensors(moved(generator, small), moved(generator, large)), rank=2)
    workshop.aggregate("fedex", rank=2, clip=1e9, travels=TRAVELS)
    state = workshop.result()
    assert state[R_A].shape == (8, 4)
    assert not state[R_A][4:].any()
    publish(workshop.target, workshop.folder / "published")
    published = load_file(workshop.folder / "published")
    assert {tuple(t.shape) for n, t in published.items() if "lora_A" in n} == {(10, 4), (10, 20)}
    a, b = (published[f"{MODULE}.lora_{factor}.weight"].double() for factor in "AB")
    assert distance(b @ a, dense(state)) < 1e-6
    assert torch.equal(published[HEAD], state[HEAD])


def test_the_same_round_gives_the_same_bytes_in_any_order(make_workshop):
    workshop, generator = make_workshop(), seeded(8)
    start = random_pair(generator, 40, 30, 3)
    case = Round(start, [(0.25, moved(generator, start)) for _ in range(4)])
    first = played(workshop, case)
    again = workshop.aggregate(
        "fedex", rank=3, clip=1e9, travels=TRAVELS, updates=workshop.updates[::-1]
    )
    assert first.digest == again.digest


def test_mixed_ranks_are_refused(make_workshop):
    workshop, generator = make_workshop(), seeded(9)
    start = random_pair(generator, 12, 9, 3)
    workshop.begin(adapter(start))
    workshop.add(adapter(start.leading(2)), rank=2)
    with pytest.raises(AggregationRefused, match="unequal_ranks"):
        workshop.aggregate("fedex", rank=3, travels=TRAVELS)


def test_what_an_agent_gets_and_sends(tmp_path):
    """The residual comes along when a state is cut to a rank, and never travels back."""
    generator = seeded(10)
    pair = random_pair(generator, 12, 9, 2)
    residual = {R_A: normal(generator, 5, 9), R_B: normal(generator, 12, 5)}
    write_adapter(tmp_path / "state", (adapter(pair) | residual).items())
    cut_rank(tmp_path / "state", 2, tmp_path / "cut")
    assert (tmp_path / "cut").read_bytes() == (tmp_path / "state").read_bytes()
    sent_names = expected_shapes(read_layout(tmp_path / "state"), 2, TRAVELS).keys()
    assert sent_names == adapter(pair).keys()


def test_a_plan_bounds_the_residual():
    asked = {"task": {"type": "causal_lm"}, "aggregation": {"strategy": "fedex"}}
    assert Method.of(Plan.model_validate(asked)).strategy.residual_rank is None
    asked["aggregation"]["residual_rank"] = 64
    assert Method.of(Plan.model_validate(asked)).strategy.residual_rank == 64
    for strategy in ("stack_svd", "fedavg"):
        asked["aggregation"]["strategy"] = strategy
        with pytest.raises(ValueError, match=f"{strategy} leaves no residual"):
            Plan.model_validate(asked)
    asked = {"task": {"type": "causal_lm"}, "adapter": {"type": "lora", "dora": True}}
    with pytest.raises(ValueError, match="fedex has no place for the magnitudes of DoRA"):
        Plan.model_validate(asked | {"aggregation": {"strategy": "fedex"}})


@pytest.mark.parametrize("name", ["fedavg", "stack_svd"])
def test_what_knows_no_residual_does_not_drop_it(make_workshop, name):
    workshop, generator = make_workshop(), seeded(11)
    pair = random_pair(generator, 12, 9, 2)
    residual = {R_A: normal(generator, 5, 9), R_B: normal(generator, 12, 5)}
    workshop.begin(adapter(pair) | residual)
    workshop.add(adapter(moved(generator, pair)), rank=2)
    with pytest.raises(AggregationRefused, match="unsupported_adapter"):
        workshop.aggregate(name, rank=2, travels=TRAVELS)
