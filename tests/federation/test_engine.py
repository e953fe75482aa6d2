"""The engine over real files: what it computes, what it refuses, that its bytes never vary."""

from __future__ import annotations

import json
from dataclasses import replace
from statistics import median

import pytest
import torch
from hypothesis import given
from safetensors.torch import load_file, save_file

from federation.engine import AggregationRefused, change_norm
from federation.layout import check_layout, expected_shapes, is_residual, read_layout
from federation.pairs import Pair
from federation.strategies import strategies
from federation.tensors import BLOCK_VALUES, cut_rank, sha256_of
from federation.terms import TERMS
from tests.federation.adapters import HEAD, MODULE, Workshop, adapter
from tests.federation.reference import dense_change, distance
from tests.strategies import Round, moved, normal, random_pair, regauged, rounds, seeded

ALL = sorted(strategies)
A, B = f"{MODULE}.lora_A.weight", f"{MODULE}.lora_B.weight"


@pytest.fixture
def workshop(tmp_path):
    return Workshop(tmp_path)


@pytest.fixture(scope="session")
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


def filled(workshop: Workshop, *, count: int = 4, rank: int = 4, seed: int = 0) -> Round:
    """A round of equal ranks over one module and a head; weights 1, 2, …"""
    generator = seeded(seed)
    start, head = random_pair(generator, 48, 40, rank), normal(generator, 5, 40)
    workshop.begin(adapter(start, head=head))
    pairs = [moved(generator, start) for _ in range(count)]
    for index, pair in enumerate(pairs):
        tensors = adapter(pair, head=head + 0.1 * normal(generator, 5, 40))
        workshop.add(tensors, weight=index + 1, rank=rank)
    total = sum(range(1, count + 1))
    return Round(start, [((i + 1) / total, pair) for i, pair in enumerate(pairs)])


@given(case=rounds(min_size=1))
def test_agg_1_the_written_adapter_is_the_mean_of_the_changes(make_workshop, case):
    workshop = make_workshop()
    workshop.begin(adapter(case.start))
    for weight, pair in case.updates:
        workshop.add(adapter(pair), weight=1000 * weight, rank=pair.rank)
    report = workshop.aggregate(rank=case.width, scale=2.0, clip=1e9)
    assert distance(workshop.result_pair().dense(), dense_change(case)) < 1e-5
    assert report.relative_error < 1e-12


@pytest.mark.parametrize("name", ALL)
def test_plain_tensors_move_by_the_mean_of_their_changes(workshop, name):
    """Published vectors of FedAvg with weights 1 and 2: (w₁ + 2·w₂) / 3, and 7/3."""
    first = {
        "conv": torch.tensor([[1.0, 2, 3], [4, 5, 6]]),
        "dense": torch.tensor([7.0, 8, 9, 10]),
        "scalar": torch.tensor(1.0),
    }
    second = {
        "conv": torch.tensor([[29.0, 23, 19], [17, 13, 11]]),
        "dense": torch.tensor([7.0, 5, 3, 2]),
        "scalar": torch.tensor(3.0),
    }
    workshop.begin({key: torch.zeros_like(value) for key, value in first.items()})
    workshop.add(first, weight=1)
    workshop.add(second, weight=2)
    workshop.aggregate(name)
    expected = {key: (first[key] + 2 * second[key]) / 3 for key in first}
    torch.testing.assert_close(workshop.result(), expected)
    assert float(workshop.result()["scalar"]) == pytest.approx(7 / 3)


def test_tensors_larger_than_a_block_are_walked_in_blocks(workshop):
    generator = seeded(3)
    start = torch.randn(2 * BLOCK_VALUES + 7, generator=generator)
    updates = [start + torch.randn(len(start), generator=generator) for _ in range(3)]
    workshop.begin({"x": start})
    for update in updates:
        workshop.add({"x": update})
    report = workshop.aggregate()
    torch.testing.assert_close(workshop.result()["x"], sum(updates) / 3)
    lengths = sorted(float((update - start).norm()) for update in updates)
    assert sorted(report.norms.values()) == pytest.approx(lengths, rel=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_the_same_inputs_give_the_same_bytes(workshop, name):
    filled(workshop, count=6, rank=8)
    first = workshop.aggregate(name, rank=8)
    written = workshop.target.read_bytes()
    again = workshop.aggregate(name, rank=8, updates=workshop.updates[::-1])
    assert workshop.target.read_bytes() == written
    assert first.digest == again.digest == sha256_of(workshop.target)
    assert replace(first, seconds=0) == replace(again, seconds=0)


@pytest.mark.parametrize("name", ALL)
def test_the_number_of_threads_changes_no_byte(workshop, name):
    generator = seeded(9)
    start = random_pair(generator, 700, 600, 16)
    workshop.begin(adapter(start, head=normal(generator, 300, 600)))
    for _ in range(5):
        tensors = adapter(moved(generator, start), head=normal(generator, 300, 600))
        workshop.add(tensors, rank=16)
    before = torch.get_num_threads()
    digests = set()
    for threads in (1, 2):
        torch.set_num_threads(threads)
        digests.add(workshop.aggregate(name, rank=16).digest)
        assert torch.get_num_threads() == threads
    torch.set_num_threads(before)
    assert len(digests) == 1


@pytest.mark.parametrize("name", ALL)
def test_the_result_fits_the_next_round(workshop, name):
    filled(workshop, rank=4)
    workshop.aggregate(name, rank=4)
    layout = read_layout(workshop.target)
    beside = {n: (one.dtype, one.shape) for n, one in layout.tensors.items() if is_residual(n)}
    assert bool(beside) == TERMS[name].has_residual
    check_layout(layout, expected_shapes(read_layout(workshop.start), 4) | beside)
    assert all(bool(t.isfinite().all()) for t in load_file(workshop.target).values())
    assert sorted(layout.tensors) == list(layout.tensors)
    assert layout.metadata == {"format": "pt"}


def test_mixed_ranks_change_only_what_they_trained(workshop):
    generator = seeded(5)
    start = random_pair(generator, 20, 30, 6)
    workshop.begin(adapter(start))
    cases = [(w, moved(generator, start.leading(r))) for w, r in ((0.5, 2), (0.3, 4), (0.2, 6))]
    for weight, pair in cases:
        workshop.add(adapter(pair), weight=weight, rank=pair.rank)
    workshop.aggregate(rank=18)
    assert distance(workshop.result_pair().dense(), dense_change(Round(start, cases))) < 1e-5


def test_a_second_round_goes_on_where_the_first_ended(workshop, make_workshop):
    """Nobody moves in it, each at its own cut: the model stays what the first round made it."""
    filled(workshop, rank=4)
    workshop.aggregate(rank=4)
    following = make_workshop()
    following.start = workshop.target
    for rank in (1, 3, 4):
        path = following.folder / f"cut-{rank}"
        digest = cut_rank(workshop.target, rank, path)
        following.updates.append(replace(workshop.updates[0], path=path, rank=rank, digest=digest))
    report = following.aggregate(rank=4)
    assert distance(following.result_pair().dense(), workshop.result_pair().dense()) < 1e-6
    assert set(report.norms.values()) == {0.0}


def test_factors_of_a_convolution_are_the_matrices_they_stand_for(workshop):
    generator = seeded(6)
    start, update = (random_pair(generator, 6, 12, 2) for _ in range(2))
    for write, pair in ((workshop.begin, start), (workshop.add, update)):
        write({A: pair.a.reshape(2, 3, 2, 2), B: pair.b.reshape(6, 2, 1, 1)})
    workshop.updates = [replace(u, rank=2) for u in workshop.updates]
    workshop.aggregate(rank=2)
    found = workshop.result()
    assert found[A].shape == (2, 3, 2, 2)
    dense = found[B].flatten(1).double() @ found[A].flatten(1).double()
    assert distance(dense, update.dense()) < 1e-6


def test_an_update_beyond_the_bound_is_scaled_down_to_it(workshop):
    start = Pair(torch.zeros(3, 1).double(), torch.ones(1, 3).double())
    workshop.begin(adapter(start))
    pair = random_pair(seeded(1), 3, 3, 1)
    digest = workshop.add(adapter(pair))
    report = workshop.aggregate(scale=2.0, clip=0.25)
    assert report.clipped == (digest,)
    assert report.bound == 0.25
    assert report.norms[digest] == pytest.approx(2.0 * float(pair.dense().norm()), rel=1e-6)
    result = 2.0 * workshop.result_pair().dense()
    assert float(result.norm()) == pytest.approx(0.25, rel=1e-6)
    assert distance(result / result.norm(), pair.dense() / pair.dense().norm()) < 1e-6


@pytest.mark.parametrize("name", ALL)
def test_an_update_far_beyond_its_peers_is_held_to_four_of_their_medians(workshop, name):
    case = filled(workshop, count=5)
    assert workshop.aggregate(name, rank=4).clipped == ()
    wild = Pair(case.start.b * 30, case.start.a * 30)
    digest = workshop.add(adapter(wild, head=torch.zeros(5, 40)), rank=4)
    report = workshop.aggregate(name, rank=4)
    assert report.clipped == (digest,)
    assert report.bound == pytest.approx(4 * median(report.norms.values()))


def test_a_norm_is_not_lowered_by_other_factors_of_the_same_change(workshop):
    generator = seeded(2)
    start = random_pair(generator, 12, 10, 3)
    update = moved(generator, start)
    workshop.begin(adapter(start))
    plain = workshop.add(adapter(update), rank=3)
    other = workshop.add(adapter(regauged(generator, update)), rank=3)
    norms = workshop.aggregate(rank=3).norms
    assert norms[plain] == pytest.approx(norms[other], rel=1e-5)


def test_a_norm_counts_all_tensors_and_the_scale(workshop):
    start, update = random_pair(seeded(1), 8, 9, 3), random_pair(seeded(2), 8, 9, 3)
    head, moved_head = normal(seeded(3), 4, 9), normal(seeded(4), 4, 9)
    workshop.begin(adapter(start, head=head))
    digest = workshop.add(adapter(update, head=moved_head), rank=3)
    expected = torch.cat(
        [
            2.0 * (update.dense() - start.dense()).flatten(),
            (moved_head - head).flatten(),
        ]
    ).norm()
    path = workshop.updates[0].path
    found = change_norm(start=workshop.start, update=path, rank=3, scale=2.0)
    assert found == pytest.approx(float(expected), rel=1e-6)
    norms = workshop.aggregate(rank=3, scale=2.0).norms
    assert found == pytest.approx(norms[digest], rel=1e-12)


def test_an_update_that_did_not_move_has_norm_zero(workshop):
    filled(workshop)
    assert change_norm(start=workshop.start, update=workshop.start, rank=4, scale=2.0) == 0.0


def test_the_report_says_what_was_lost(workshop):
    case = filled(workshop, rank=4)
    report = workshop.aggregate(rank=4)
    ideal = dense_change(case)
    singular = torch.linalg.svdvals(ideal).square()
    assert report.discarded_energy == pytest.approx(float(singular[4:].sum() / singular.sum()))
    assert report.relative_error == pytest.approx(report.discarded_energy**0.5)
    assert distance(workshop.result_pair().dense(), ideal) == pytest.approx(report.relative_error)
    assert report.ranks == {MODULE: 4}
    assert list(report.norms) == sorted(update.digest for update in workshop.updates)
    assert report.seconds > 0


def test_energy_lowers_the_rank_in_use(workshop):
    filled(workshop, rank=4)
    report = workshop.aggregate(rank=4, energy=0.2)
    assert 1 <= report.ranks[MODULE] < 4
    assert workshop.result_pair().rank == 4


def test_the_report_is_json(workshop):
    filled(workshop)
    report = workshop.aggregate(rank=4)
    assert json.loads(json.dumps(report.as_dict(), allow_nan=False)) == report.as_dict()


def refusal(workshop: Workshop, **changed: object) -> str:
    with pytest.raises(AggregationRefused) as refused:
        workshop.aggregate(**({"rank": 4} | changed))  # type: ignore[arg-type]
    return refused.value.code


def test_agg_14_nothing_to_aggregate_is_refused(workshop):
    filled(workshop)
    assert refusal(workshop, updates=[]) == "no_updates"


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_agg_14_a_missing_scale_is_refused(workshop, scale):
    filled(workshop)
    assert refusal(workshop, scale=scale) == "scale"


@pytest.mark.parametrize("weights", [(0.0, 0.0), (1.0, -1.0), (1.0, float("nan"))])
def test_agg_14_weights_that_are_no_shares_are_refused(workshop, weights):
    filled(workshop, count=2)
    updates = [replace(u, weight=w) for u, w in zip(workshop.updates, weights, strict=True)]
    assert refusal(workshop, updates=updates) == "weights"


@pytest.mark.parametrize(("rank", "code"), [(0, "rank_zero"), (-2, "rank_zero")])
def test_agg_14_rank_zero_is_refused(workshop, rank, code):
    filled(workshop)
    assert refusal(workshop, rank=rank) == code
    assert refusal(workshop, updates=[replace(workshop.updates[0], rank=rank)]) == code


def test_agg_14_a_rank_above_the_start_is_refused(workshop):
    filled(workshop)
    workshop.add(adapter(random_pair(seeded(1), 48, 40, 5), head=torch.zeros(5, 40)), rank=5)
    assert refusal(workshop) == "rank_too_large"


@pytest.mark.parametrize(
    ("tensors", "code"),
    [
        ({A: torch.ones(4, 40), B: torch.ones(48, 4)}, "missing_tensor"),
        ({A: torch.ones(4, 40), HEAD: torch.ones(5, 40)}, "missing_tensor"),
        (
            {
                A: torch.ones(4, 40),
                B: torch.ones(48, 4),
                HEAD: torch.ones(5, 40),
                "x": torch.ones(1),
            },
            "extra_tensor",
        ),
        (
            {
                A: torch.ones(4, 40),
                B: torch.ones(48, 4),
                HEAD: torch.ones(5, 40),
                f"{MODULE}.lora_magnitude_vector.weight": torch.ones(48),
            },
            "extra_tensor",
        ),
        ({A: torch.ones(4, 40), B: torch.ones(40, 4), HEAD: torch.ones(5, 40)}, "shape_mismatch"),
        ({A: torch.ones(3, 40), B: torch.ones(48, 3), HEAD: torch.ones(5, 40)}, "shape_mismatch"),
    ],
    ids=["no head", "half a pair", "another tensor", "DoRA", "another shape", "another rank"],
)
def test_agg_14_updates_of_another_adapter_are_refused(workshop, tensors, code):
    filled(workshop)
    workshop.add(tensors, rank=4)
    assert refusal(workshop) == code


def test_agg_14_another_dtype_is_refused(workshop):
    case = filled(workshop)
    workshop.add(adapter(case.start, head=torch.zeros(5, 40)), rank=4)
    halves = adapter(Pair(case.start.b.half(), case.start.a.half()), head=torch.zeros(5, 40).half())
    save_file(
        {name: tensor.contiguous() for name, tensor in halves.items()}, workshop.updates[-1].path
    )
    assert refusal(workshop) == "dtype_mismatch"


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("tensor", [A, B, HEAD])
@pytest.mark.parametrize("name", ALL)
def test_agg_14_values_that_are_not_finite_are_refused(workshop, name, tensor, value):
    case = filled(workshop)
    tensors = adapter(case.start, head=torch.zeros(5, 40).double())
    spoilt = tensors[tensor].clone()
    spoilt[-1, -1] = value
    workshop.add(tensors | {tensor: spoilt}, rank=4)
    assert refusal(workshop, strategy=name) == "non_finite"
    path = workshop.updates[-1].path
    with pytest.raises(AggregationRefused, match="non_finite"):
        change_norm(start=workshop.start, update=path, rank=4, scale=1.0)


def test_a_result_too_large_for_fp32_is_refused(workshop):
    """Finite factors, whose singular value has a root beyond the largest fp32 number."""
    workshop.begin(adapter(Pair(torch.zeros(1, 1), torch.zeros(1, 4))))
    workshop.add(adapter(Pair(torch.full((1, 1), 3e38), torch.full((1, 4), 3e38))))
    assert refusal(workshop, rank=1) == "non_finite"


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        (f"{MODULE}.lora_magnitude_vector.weight", "unsupported_adapter"),
        ("base_model.model.other.lora_embedding_A", "unsupported_adapter"),
        ("base_model.model.other.lora_A.weight", "missing_module"),
        ("base_model.model.other.lora_B.weight", "missing_module"),
    ],
)
def test_agg_14_a_start_that_is_no_plain_lora_is_refused(workshop, extra, code):
    case = filled(workshop)
    workshop.begin(adapter(case.start) | {extra: torch.ones(4, 4)})
    assert refusal(workshop) == code


def test_agg_14_a_start_of_several_ranks_is_refused(workshop):
    case = filled(workshop)
    other = {
        name.replace("query", "value"): t[:, :3] if t is case.start.b else t[:3]
        for name, t in adapter(case.start).items()
    }
    workshop.begin(adapter(case.start) | other)
    assert refusal(workshop) == "unequal_ranks"


def test_agg_14_averaging_factors_refuses_mixed_ranks(workshop):
    case = filled(workshop)
    workshop.add(adapter(case.start.leading(2), head=torch.zeros(5, 40)), rank=2)
    assert refusal(workshop, strategy="fedavg") == "unequal_ranks"
    assert workshop.aggregate("stack_svd", rank=4).digest


def test_a_file_that_is_no_adapter_is_refused(workshop):
    filled(workshop)
    workshop.updates[0].path.write_bytes(b"\x80\x04\x95 this is a pickle")
    assert refusal(workshop) == "format"
