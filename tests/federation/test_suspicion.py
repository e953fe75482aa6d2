from __future__ import annotations

import random
from collections.abc import Sequence
from math import sqrt

import pytest

from federation.rules import Evidence
from federation.suspicion import SIGNS, Losses, bearings, harms_of, is_outlier, sign_of

Vector = Sequence[float]
WIDE = 400


def evidence(changes: Sequence[Vector]) -> Evidence:
    products = tuple(
        tuple(sum(x * y for x, y in zip(one, other, strict=True)) for other in changes)
        for one in changes
    )
    return Evidence(tuple(f"{place:064}" for place in range(len(changes))), products)


def signs(changes: Sequence[Vector], arrivals: Sequence[int] | None = None) -> list[str]:
    came = range(len(changes)) if arrivals is None else arrivals
    return [sign_of(one) for one in bearings(evidence(changes), list(came))]


def noise(dice: random.Random, size: float) -> list[float]:
    return [dice.gauss(0, size / sqrt(WIDE)) for _ in range(WIDE)]


def honest(count: int, *, seed: int, alike: float = 1.0) -> list[list[float]]:
    """Sites that learn something in common, and as much again of their own."""
    dice = random.Random(seed)
    common = noise(dice, alike)
    sizes = [dice.uniform(0.3, 3.0) for _ in range(count)]
    return [
        [size * (x + y) for x, y in zip(common, noise(dice, 1.0), strict=True)] for size in sizes
    ]


def against(change: Vector, times: float) -> list[float]:
    return [-times * x for x in change]


@pytest.mark.parametrize("alike", [0.0, 0.3, 1.0, 3.0])
@pytest.mark.parametrize("count", [3, 4, 8])
def test_honest_sites_show_no_sign_however_much_their_data_differ(count, alike):
    for seed in range(5):
        assert signs(honest(count, seed=seed, alike=alike)) == [""] * count


def test_two_camps_accuse_nobody():
    """Half have seen one class only, half the other: nobody can say who is wrong."""
    camp = honest(3, seed=1, alike=3.0)
    other = [against(change, 1.0) for change in honest(3, seed=1, alike=3.0)]
    shifted = [
        [x + y for x, y in zip(one, noise(random.Random(seed), 1.0), strict=True)]
        for seed, one in enumerate(other)
    ]
    assert signs([*camp, *shifted]) == [""] * 6


@pytest.mark.parametrize("times", [1.0, 10.0])
@pytest.mark.parametrize("count", [3, 4, 8])
def test_who_points_against_others_that_agree_is_named_and_nobody_else(count, times):
    changes = honest(count, seed=2, alike=2.0)
    changes[0] = against(changes[0], times)
    assert signs(changes) == ["against_others", *[""] * (count - 1)]


def test_one_that_moves_a_thousand_times_as_far_does_not_speak_for_all():
    changes = honest(10, seed=3, alike=2.0)
    changes[4] = against(changes[4], 1000.0)
    assert [code for code in signs(changes) if code] == ["norm_outlier"]


def test_of_two_that_are_alike_the_later_one_is_the_copy():
    changes = honest(4, seed=4)
    changes[3] = [1.0001 * x for x in changes[1]]
    assert signs(changes, [0, 1, 2, 3]) == ["", "", "", "copied_update"]
    assert signs(changes, [0, 3, 2, 1]) == ["", "copied_update", "", ""]


def test_a_rescaled_copy_is_a_copy():
    changes = honest(4, seed=4)
    changes[0] = [5 * x for x in changes[2]]
    assert signs(changes, [3, 2, 1, 0])[0] == "copied_update"


def test_what_changes_nothing_is_named_and_does_not_disturb_the_others():
    changes = honest(4, seed=5)
    changes[2] = [0.0] * WIDE
    assert signs(changes) == ["", "", "suspect_zero", ""]


def test_all_zero_is_nothing_to_divide_by():
    assert signs([[0.0] * 3] * 3) == ["suspect_zero"] * 3


@pytest.mark.parametrize("count", [0, 1, 2])
def test_fewer_than_three_are_not_compared(count):
    assert signs([[0.0, 1e9], [-1.0, 0.0]][:count]) == []


def test_figures_are_those_of_the_definition():
    changes = honest(5, seed=6)
    found = bearings(evidence(changes), list(range(5)))[2]
    rest = [one for place, one in enumerate(changes) if place != 2]
    lengths = [sqrt(sum(x * x for x in one)) for one in rest]
    columns = zip(*rest, strict=True)
    mean = [sum(x / n for x, n in zip(column, lengths, strict=True)) for column in columns]
    pairs = [cosine(a, b) for i, a in enumerate(rest) for b in rest[i + 1 :]]
    assert found.cosine_to_others == pytest.approx(cosine(changes[2], mean))
    assert found.agreement == pytest.approx(sum(pairs) / len(pairs))
    likest = max((cosine(changes[2], one), changes.index(one)) for one in rest)
    assert (found.nearest_cosine, found.nearest) == pytest.approx(likest)


def cosine(one: Vector, other: Vector) -> float:
    product = sum(x * y for x, y in zip(one, other, strict=True))
    return product / sqrt(sum(x * x for x in one) * sum(y * y for y in other))


def test_the_same_again_is_the_same():
    changes = honest(6, seed=7)
    changes[1] = against(changes[1], 4.0)
    assert bearings(evidence(changes), range(6)) == bearings(evidence(changes), range(6))


def test_nothing_is_an_outlier_where_nothing_is_usual():
    assert not is_outlier(1e9, 0.0)
    assert is_outlier(21.0, 1.0)
    assert not is_outlier(20.0, 1.0)


def test_every_sign_has_a_code_that_fits_the_column():
    assert all(0 < len(code) <= 64 for code in SIGNS)


# ------------------------------------------------------------- loss on a probe set


def odd(*changes: float, start: float = 1.0) -> list[int]:
    """The places of those that are set aside."""
    harms = harms_of(Losses(start, changes))
    return [place for place, harm in enumerate(harms) if harm.is_odd]


def test_who_makes_worse_what_the_others_make_better_is_named() -> None:
    assert odd(-0.3, -0.25, -0.35, 0.4) == [3]
    assert odd(-0.3, -0.25, -0.35, 1e6) == [3]


def test_who_helps_less_or_harms_a_little_is_not() -> None:
    assert odd(-0.3, -0.25, -0.35, -0.01) == []
    assert odd(-0.3, -0.25, -0.35, 0.05) == []
    assert odd(-0.3, -0.3, -0.3, 0.149) == []  # a quarter of the median, six times
    assert odd(-0.3, -0.3, -0.3, 0.151) == [3]


def test_where_most_harm_by_themselves_nobody_is_named() -> None:
    """As on very uneven data: each site knows a few labels only."""
    assert odd(0.2, 0.3, 0.1, 9.0) == []


def test_what_is_next_to_nothing_beside_the_loss_is_no_harm() -> None:
    assert odd(-0.001, -0.001, -0.001, 0.01, start=2.0) == []


def test_a_few_are_not_told_apart() -> None:
    assert harms_of(Losses(1.0, (-0.3, -0.3, 9.0))) == []


def test_the_loss_is_the_last_sign_to_be_looked_at() -> None:
    changes = honest(4, seed=2, alike=2.0)
    changes[0] = against(changes[0], 1.0)
    losses = Losses(1.0, (0.5, -0.3, -0.3, 0.5))
    found = bearings(evidence(changes), range(4), losses)
    assert [sign_of(one) for one in found][:3] == ["against_others", "", ""]
    assert found[3].harm is not None


@pytest.mark.parametrize(("count", "most"), [(4, 0.005), (8, 0.005), (32, 0.002)])
def test_honest_changes_are_named_as_rarely_as_is_said(count: int, most: float) -> None:
    dice = random.Random(1)
    rounds = [[dice.gauss(-1.0, 0.5) for _ in range(count)] for _ in range(64_000 // count)]
    assert sum(bool(odd(*one)) for one in rounds) / len(rounds) <= most
