"""Rules: laws of every registered one, published vectors, and a slow reference beside each."""

from __future__ import annotations

from itertools import combinations as subsets
from statistics import median

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from federation.combinations import combinations
from federation.registry import configured
from federation.rules import rules
from tests.federation.evidences import applied, constants, equal, evidence_of
from tests.strategies import normal, seeded

ALL = sorted(rules)
JUDGING = [name for name in ALL if configured(rules, name).needs_evidence]


def changes_of(seed: int, count: int, values: int = 12) -> Tensor:
    """Honest updates: a common direction and noise of a third of its length."""
    generator = seeded(seed)
    return normal(generator, values) + normal(generator, count, values) / 3


def judged(name: str, changes: Tensor, shares: list[float] | None = None, **settings: int):
    """The weights; where a rule needs a root it is the last, with no share."""
    rule = configured(rules, name, **settings)
    shares = shares or equal(len(changes))
    if not rule.needs_root:
        return rule.weigh(evidence_of(changes), shares)
    rooted = torch.cat([changes, changes.mean(0, keepdim=True)])
    weights = rule.weigh(evidence_of(rooted, len(changes)), [*shares, 0.0])
    assert weights.shares[-1] == 0
    return type(weights)(weights.shares[:-1], weights.factors[:-1])


# Published vectors: METHODS.md section 4.


def test_krum_of_the_published_vector():
    changes = constants(0.2, 0.7, 1.0)
    found = applied(judged("krum", changes, liars=1), changes)
    torch.testing.assert_close(found, constants(0.7)[0])


def test_multi_krum_of_the_published_vector():
    changes = constants(0.2, 0.5, 1.0)
    found = applied(judged("multi_krum", changes, liars=1, keep=2), changes)
    torch.testing.assert_close(found, constants(0.35)[0])


# Laws.


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_shares_add_up_to_one_and_none_is_negative(name, seed, count):
    weights = judged(name, changes_of(seed, count))
    assert sum(weights.shares) == pytest.approx(1)
    assert all(share >= 0 for share in weights.shares)
    assert len(weights.shares) == len(weights.factors) == count


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), rng=st.randoms(use_true_random=False))
def test_the_order_of_updates_does_not_matter(name, seed, rng):
    changes = changes_of(seed, 7)
    order = rng.sample(range(7), 7)
    expected = applied(judged(name, changes), changes)
    found = applied(judged(name, changes[order]), changes[order])
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1))
def test_an_update_without_a_share_does_not_count(name, seed):
    changes = changes_of(seed, 6)
    shares = [0.0, *equal(5)]
    weights = judged(name, changes, shares)
    assert weights.shares[0] == 0
    if configured(rules, name).needs_root:
        return  # its root is the mean of all of them here
    torch.testing.assert_close(
        applied(weights, changes), applied(judged(name, changes[1:]), changes[1:])
    )


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(1e-3, 1e3))
def test_longer_changes_give_as_much_longer_a_result(name, seed, factor):
    changes = changes_of(seed, 7)
    found = applied(judged(name, factor * changes), factor * changes)
    expected = factor * applied(judged(name, changes), changes)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", ALL)
def test_equal_updates_are_the_result(name):
    changes = changes_of(1, 1).expand(7, -1).contiguous()
    torch.testing.assert_close(applied(judged(name, changes), changes), changes[0])


@pytest.mark.parametrize("name", JUDGING)
@given(seed=st.integers(0, 2**32 - 1), length=st.sampled_from([0.0, 1.0, 30.0, 1e4, 1e8]))
def test_lies_within_the_breakdown_point_leave_the_result_near_the_honest(name, seed, length):
    """However long they are: no further off than the honest are from each other, twice over."""
    rule = configured(rules, name, liars=2)
    count = max(rule.fewest(), 9) if name != "bulyan" else 11
    honest = changes_of(seed, count - 2)
    mean = honest.mean(0)
    lies = -length * mean + 1e-3 * normal(seeded(seed), 2, len(mean))
    changes = torch.cat([lies, honest])
    assert rule.survives(count) >= 2
    if rule.needs_root:
        rooted = torch.cat([changes, mean[None]])
        weights = rule.weigh(evidence_of(rooted, count), [*equal(count), 0.0])
        found = applied(weights, rooted)
    elif name == "bulyan":
        kept = torch.tensor(judged(name, changes, liars=2).shares) > 0
        found = combinations["near_median"](liars=2).combine(changes[kept], torch.empty(0))
    else:
        found = applied(judged(name, changes, liars=2), changes)
    spread = max(float((one - other).norm()) for one, other in subsets(honest, 2))
    assert float((found - mean).norm()) <= 2 * spread


@pytest.mark.parametrize("name", ALL)
@given(liars=st.integers(1, 20), more=st.integers(0, 30))
def test_the_fewest_are_just_enough_for_its_liars(name, liars, more):
    rule = configured(rules, name, liars=liars)
    if not rule.needs_evidence:
        assert (rule.fewest(), rule.survives(100)) == (1, 0)
        return
    promised = liars if hasattr(rule, "liars") else 1
    assert rule.survives(rule.fewest()) >= promised > rule.survives(rule.fewest() - 1)
    assert rule.survives(rule.fewest() + more) >= promised
    assert 0 == rule.survives(0) <= rule.survives(1) < 1


def test_shares_survives_no_lie():
    changes = torch.cat([constants(1e6), constants(1, 1, 1, 1)])
    assert float(applied(judged("shares", changes), changes)[0]) > 1e5


# Slow and obvious references, over dense changes.


def dense_krum(changes: Tensor, liars: int) -> Tensor:
    """The scores; n − f − 2 nearest others."""
    far = torch.cdist(changes, changes).square()
    rows = [sorted(far[i, j].item() for j in range(len(far)) if j != i) for i in range(len(far))]
    return torch.tensor([sum(row[: max(2, len(far) - liars - 2)]) for row in rows])


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(5, 12))
def test_krum_is_the_best_by_the_dense_scores(seed, count):
    changes = changes_of(seed, count)
    best = int(dense_krum(changes, 1).argmin())
    assert judged("krum", changes).shares[best] == 1


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(7, 12))
def test_multi_krum_is_the_mean_of_the_best_by_the_dense_scores(seed, count):
    changes = changes_of(seed, count)
    best = dense_krum(changes, 2).argsort()[: count - 4]
    found = applied(judged("multi_krum", changes, liars=2), changes)
    torch.testing.assert_close(found, changes[best].mean(0))


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(7, 12))
def test_bulyan_selects_by_krum_again_and_again(seed, count):
    changes = changes_of(seed, count)
    left, chosen = list(range(count)), []
    while len(chosen) < count - 2:
        chosen.append(left.pop(int(dense_krum(changes[left], 1).argmin())))
    shares = judged("bulyan", changes).shares
    assert {place for place, share in enumerate(shares) if share > 0} == set(chosen)


def dense_weiszfeld(changes: Tensor, shares: list[float]) -> Tensor:
    given_shares = torch.tensor(shares, dtype=torch.float64)
    middle = given_shares @ changes
    for _ in range(100):
        weights = given_shares / (changes - middle).norm(dim=1).clamp_min(1e-6)
        middle = weights / weights.sum() @ changes
    return middle


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 9))
def test_the_geometric_median_is_that_of_the_dense_iteration(seed, count):
    changes = changes_of(seed, count)
    amounts = torch.rand(count, generator=seeded(seed), dtype=torch.float64) + 0.1
    shares = (amounts / amounts.sum()).tolist()
    found = applied(judged("geometric_median", changes, shares), changes)
    expected = dense_weiszfeld(changes, shares)
    assert float((found - expected).norm() / expected.norm()) < 1e-9


@given(seed=st.integers(0, 2**32 - 1))
def test_no_update_has_a_smaller_sum_of_distances_than_the_geometric_median(seed):
    changes = changes_of(seed, 8)
    found = applied(judged("geometric_median", changes), changes)
    sums = [float((changes - one).norm(dim=1).sum()) for one in (found, *changes, changes.mean(0))]
    assert sums[0] <= min(sums) * (1 + 1e-6)


@given(seed=st.integers(0, 2**32 - 1))
def test_fltrust_is_the_formula_of_the_paper(seed):
    changes = changes_of(seed, 5)
    changes[0] *= -10
    root = changes[1:].mean(0)
    trust = torch.nn.functional.cosine_similarity(changes, root[None]).relu()
    lengths = root.norm() / changes.norm(dim=1)
    expected = (trust * lengths) @ changes / trust.sum()
    rooted = torch.cat([changes, root[None]])
    weights = rules["fltrust"]().weigh(evidence_of(rooted, 5), [*equal(5), 0.0])
    torch.testing.assert_close(applied(weights, rooted), expected)
    assert weights.shares[0] == weights.shares[5] == 0


def test_fltrust_leaves_the_model_where_nothing_agrees_with_the_root():
    changes = constants(-1.0, -2.0, 0.0, 1.0)
    weights = rules["fltrust"]().weigh(evidence_of(changes, 3), [*equal(3), 0.0])
    assert weights.shares == (0.0,) * 4


def dense_flame(changes: Tensor) -> Tensor:
    """Links that are allowed one by one, and components found anew after each."""
    units = changes / changes.norm(dim=1, keepdim=True)
    far = 1 - units @ units.T
    count = len(changes)
    lengths = sorted(float(far[i, j]) for i, j in subsets(range(count), 2))
    for limit in lengths:
        reach = torch.matrix_power(((far <= limit) | torch.eye(count, dtype=bool)).double(), count)
        for row in reach > 0:
            if 2 * int(row.sum()) > count:
                length = median(changes.norm(dim=1).tolist())
                factors = (length / changes.norm(dim=1)).clamp_max(1.0)
                return (factors[:, None] * changes)[row].mean(0)
    return changes.mean(0)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 9))
def test_flame_is_the_first_component_with_a_majority(seed, count):
    changes = changes_of(seed, count)
    found = applied(judged("flame", changes), changes)
    torch.testing.assert_close(found, dense_flame(changes), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["krum", "multi_krum", "bulyan", "fltrust"])
def test_fewer_liars_than_none_are_refused(name):
    with pytest.raises(ValueError, match="liars -1"):
        rules[name](liars=-1)
