"""Fixed factors with a small matrix between them: Fed-SB."""

from __future__ import annotations

import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor

from federation.coded import check_update
from federation.engine import evidence_of
from federation.layout import LayoutRefused, expected_shapes, read_layout
from federation.publishing import is_plain, publish
from federation.tensors import write_adapter
from federation.terms import TERMS
from tests.federation.adapters import MODULE, Workshop
from tests.federation.reference import distance
from tests.strategies import normal, seeded

A, B, R = (f"{MODULE}.lora_{factor}.weight" for factor in "ABR")
TRAVELS = TERMS["fedsb"].travels(1)


@pytest.fixture(scope="session")
def make_workshop(tmp_path_factory):
    return lambda: Workshop(tmp_path_factory.mktemp("workshop"))


def fixed(seed: int, high: int = 30, wide: int = 20, rank: int = 4) -> dict[str, Tensor]:
    """A state whose factors are of no particular length, in fp32 as files hold them."""
    generator = seeded(seed)
    sizes = {A: (rank, wide), B: (high, rank), R: (rank, rank), "head": (3, wide)}
    return {name: normal(generator, *size).float() for name, size in sizes.items()}


def dense(state: dict[str, Tensor], middle: Tensor | None = None) -> Tensor:
    r = state[R] if middle is None else middle
    return state[B].double() @ r.double() @ state[A].double()


def filled(workshop: Workshop, seed: int, count: int = 4) -> dict[str, Tensor]:
    """A round of several updates; returns the changes by digest, whole matrices and the head."""
    start, generator, changes = fixed(seed), seeded(seed + 1), {}
    workshop.begin(start)
    for number in range(count):
        sent = {
            name: start[name] + normal(generator, *start[name].shape).float()
            for name in (R, "head")
        }
        digest = workshop.add(sent, weight=number + 1, rank=4)
        matrix = dense(start, sent[R]) - dense(start)
        changes[digest] = torch.cat(
            [2 * matrix.flatten(), (sent["head"] - start["head"]).flatten()]
        )
    return changes


@given(seed=st.integers(0, 2**16))
def test_agg_1_the_mean_of_the_middles_is_the_mean_of_the_changes(make_workshop, seed):
    workshop = make_workshop()
    changes = filled(workshop, seed)
    report = workshop.aggregate("fedsb", rank=4, clip=1e9, scale=2.0, travels=TRAVELS)
    start, result = load_file(workshop.start), workshop.result()
    shares = {update.digest: update.weight / 10 for update in workshop.updates}
    expected = sum(shares[digest] * change for digest, change in changes.items())
    moved = 2 * (dense(result) - dense(start)).flatten()
    assert distance(moved, expected[: len(moved)]) < 1e-5
    assert report.relative_error < 1e-6


def test_agg_10_the_fixed_factors_keep_their_hashes(make_workshop):
    workshop = make_workshop()
    filled(workshop, 3)
    workshop.aggregate("fedsb", rank=4, travels=TRAVELS)
    before, after = load_file(workshop.start), workshop.result()
    for name in (A, B):
        assert hashed(before[name]) == hashed(after[name])
    assert hashed(before[R]) != hashed(after[R])


def hashed(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.numpy().tobytes()).hexdigest()


@pytest.mark.parametrize("size", [(8, 6), (64, 48), (300, 200)])
@pytest.mark.parametrize("rank", [1, 4])
def test_agg_10_an_update_has_r_squared_values_for_each_matrix(tmp_path, size, rank):
    state = fixed(1, *size, rank=rank)
    state.pop("head")
    other = {name.replace("query", "value"): tensor for name, tensor in state.items()}
    write_adapter(tmp_path / "start", (state | other).items())
    layout, path = read_layout(tmp_path / "start"), tmp_path / "update"
    sent = {name: torch.ones(rank, rank) for name in state | other if ".lora_R." in name}
    write_adapter(path, sent.items())
    check_update(path, start=layout, rank=rank, codec="fp32", travels=TRAVELS)
    assert path.stat().st_size - read_layout(path).data_start == 2 * 4 * rank**2
    write_adapter(path, (state | other).items())
    with pytest.raises(LayoutRefused, match="extra_tensor"):
        check_update(path, start=layout, rank=rank, codec="fp32", travels=TRAVELS)


def test_agg_12_evidence_is_that_of_the_dense_changes(make_workshop):
    workshop = make_workshop()
    changes = filled(workshop, 5)
    found = evidence_of(start=workshop.start, updates=workshop.updates, scale=2.0, travels=TRAVELS)
    beside = torch.stack([changes[digest] for digest in found.digests]).double()
    products = torch.tensor(found.products, dtype=torch.float64)
    torch.testing.assert_close(products, beside @ beside.T, rtol=1e-5, atol=1e-3)


@pytest.mark.parametrize("parts", [{"combination": "median"}, {"rule": "krum"}])
def test_judged_and_combined_like_any_other_tensor(make_workshop, parts):
    from federation.combinations import combinations
    from federation.rules import rules

    workshop = make_workshop()
    filled(workshop, 6, count=5)
    known = {"combination": combinations, "rule": rules}
    built = {key: known[key][name]() for key, name in parts.items()}
    workshop.aggregate("fedsb", rank=4, clip=1e9, travels=TRAVELS, **built)
    sent = torch.stack([load_file(update.path)[R] for update in workshop.updates])
    if "combination" in parts:
        torch.testing.assert_close(workshop.result()[R], sent.median(dim=0).values)
    else:
        assert any(torch.allclose(workshop.result()[R], one, atol=1e-5) for one in sent)


def test_what_is_published_is_plain_lora_that_does_the_same(tmp_path):
    state = fixed(7)
    write_adapter(tmp_path / "state", state.items())
    layout = read_layout(tmp_path / "state")
    assert not is_plain(layout)
    digest = publish(tmp_path / "state", tmp_path / "published")
    assert digest == hashlib.sha256((tmp_path / "published").read_bytes()).hexdigest()
    published = load_file(tmp_path / "published")
    assert set(published) == {A, B, "head"}
    assert is_plain(read_layout(tmp_path / "published"))
    assert distance(published[B].double() @ published[A].double(), dense(state)) < 1e-6
    assert torch.equal(published["head"], state["head"])


def test_a_start_without_its_factors_is_refused(make_workshop):
    workshop = make_workshop()
    filled(workshop, 8)
    workshop.begin({name: tensor for name, tensor in fixed(8).items() if name != B})
    with pytest.raises(ValueError, match="missing_module"):
        workshop.aggregate("fedsb", rank=4, travels=TRAVELS)


def test_a_middle_is_square_at_the_rank_of_the_update(tmp_path):
    write_adapter(tmp_path / "start", fixed(1).items())
    shapes = expected_shapes(read_layout(tmp_path / "start"), 3)
    assert (shapes[A][1], shapes[B][1], shapes[R][1]) == ((3, 20), (30, 3), (3, 3))


@pytest.mark.parametrize("name", ["stack_svd", "fedex"])
def test_strategies_of_changes_have_no_use_for_a_middle(make_workshop, name):
    workshop = make_workshop()
    filled(workshop, 9)
    with pytest.raises(ValueError, match="unsupported_adapter"):
        workshop.aggregate(name, rank=4, travels=TRAVELS)
