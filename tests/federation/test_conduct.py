"""Sketches keep cosines; signs show where they should, and not where all are like that."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from federation.cohort import WeightedUpdate
from federation.conduct import SAME, findings
from federation.engine import evidence_of
from federation.noticed import Seen, Sent
from federation.pairs import Pair
from federation.sketching import sketches_of
from tests.federation.adapters import Workshop, adapter
from tests.strategies import normal, seeded

WIDE = 4000


def workshop(folder: Path, count: int = 4) -> Workshop:
    """Updates of pairs and a head, each next to the one before; the last two nearly the same."""
    made = Workshop(folder)
    dice = seeded(5)
    pair, head = Pair(normal(dice, 40, 3), normal(dice, 3, 60)), normal(dice, 500)
    made.begin(adapter(pair, head=head))
    towards = Pair(normal(dice, 40, 3), normal(dice, 3, 60)), normal(dice, 500)
    for number in range(count):
        off = 0.01 if number == count - 1 else 1.0
        own = normal(dice, 40, 3), normal(dice, 3, 60), normal(dice, 500)
        if number < count - 1:
            last = own
        b = pair.b + 0.1 * (towards[0].b + last[0] + (off * own[0] if off < 1 else 0))
        a = pair.a + 0.1 * (towards[0].a + last[1] + (off * own[1] if off < 1 else 0))
        made.add(adapter(Pair(b, a), head=head + 0.1 * (towards[1] + last[2])), rank=3)
    return made


def test_sketches_keep_the_cosines_of_changes(tmp_path: Path) -> None:
    made = workshop(tmp_path)
    exact = evidence_of(start=made.start, updates=made.updates, scale=2.0)
    found = sketches_of(start=made.start, updates=made.updates, scale=2.0, seed="ab")
    rows = torch.tensor([found[digest] for digest in exact.digests], dtype=torch.float64)
    cosines = torch.nn.functional.cosine_similarity(rows[:, None], rows[None], dim=-1)
    known = torch.tensor(exact.cosines, dtype=torch.float64)
    assert float((cosines - known).abs().max()) < 0.1
    assert float((cosines - known)[known > SAME].abs().max()) < 0.002
    lengths = torch.tensor(exact.norms, dtype=torch.float64)
    torch.testing.assert_close(rows.norm(dim=1), lengths, rtol=0.15, atol=0)


def test_a_sketch_is_the_same_in_whatever_company(tmp_path: Path) -> None:
    made = workshop(tmp_path)
    asked = {"start": made.start, "scale": 2.0, "seed": "ab"}
    together = sketches_of(updates=made.updates, **asked)
    for update in made.updates:
        (alone,) = sketches_of(updates=[update], **asked).values()
        assert alone == pytest.approx(together[update.digest])
    other = sketches_of(updates=made.updates, **{**asked, "seed": "cd"})
    assert other != together


def test_other_factors_of_one_change_have_its_sketch(tmp_path: Path) -> None:
    dice = seeded(7)
    b, a = normal(dice, 40, 3), normal(dice, 3, 60)
    turn = torch.linalg.qr(normal(dice, 3, 3)).Q
    made = Workshop(tmp_path)
    made.begin(adapter(Pair(torch.zeros(40, 3).double(), a)))
    first, second = (
        made.add(adapter(pair), rank=3) for pair in (Pair(b, a), Pair(b @ turn, turn.T @ a))
    )
    found = sketches_of(start=made.start, updates=made.updates, scale=2.0, seed="ab")
    assert found[first] == pytest.approx(found[second], abs=1e-4)


def test_rows_of_a_module_are_kept_apart(tmp_path: Path) -> None:
    """Two in one place would look alike, or opposed, however little they have to do."""
    dice = seeded(8)
    a, rows = normal(dice, 1, 600), torch.eye(200, dtype=torch.float64)
    made = Workshop(tmp_path)
    made.begin(adapter(Pair(torch.zeros(200, 1).double(), a)))
    for row in rows:
        made.add(adapter(Pair(row[:, None], a)), rank=1)
    found = sketches_of(start=made.start, updates=made.updates, scale=2.0, seed="ab")
    sketches = torch.tensor(list(found.values()), dtype=torch.float64)
    cosines = torch.nn.functional.cosine_similarity(sketches[:, None], sketches[None], dim=-1)
    assert float((cosines - rows).abs().max()) < 0.3


def test_no_change_is_a_sketch_of_nothing(tmp_path: Path) -> None:
    made = workshop(tmp_path)
    path = tmp_path / "still"
    path.write_bytes(made.start.read_bytes())
    still = WeightedUpdate(path, 1.0, 3, "still")
    found = sketches_of(start=made.start, updates=[still], scale=2.0, seed="ab")
    assert set(found["still"]) == {0.0}


# ------------------------------------------------------------------ signs


def seen(number: int, *changes: Tensor, losses: tuple[float, ...] = ()) -> Seen:
    """A round in which everybody counts the same; the change is its own sketch."""
    sent = tuple(
        Sent(
            who=str(place),
            digest=f"{number}/{place}",
            norm=float(change.norm()),
            sketch=change.tolist(),
            loss_change=losses[place] if losses else None,
        )
        for place, change in enumerate(changes)
    )
    return Seen(number, sent, {str(place): 1 / len(changes) for place in range(len(changes))})


def step(number: int, who: int, *, own: float = 1.0) -> Tensor:
    """What all want in every round, something of this round, and something of one's own."""
    return (
        normal(seeded(1), WIDE)
        + normal(seeded(100 + number), WIDE)
        + own * normal(seeded(1000 * number + who), WIDE)
    )


def kinds(history: list[Seen]) -> set[tuple[str, tuple[str, ...]]]:
    return {(found.kind, found.who) for found in findings(history)}


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_honest_updates_show_no_sign(count: int) -> None:
    history = [seen(n, *(step(n, who) for who in range(count))) for n in range(1, 5)]
    assert kinds(history) == set()


def test_where_all_go_one_way_nobody_is_a_copy_and_nothing_is_stale() -> None:
    """Early and slow training: everybody's steps are nearly the same, from round to round."""
    steady = normal(seeded(1), WIDE)
    history = [
        seen(n, *(steady + 0.02 * normal(seeded(10 * n + who), WIDE) for who in range(4)))
        for n in range(1, 5)
    ]
    assert kinds(history) == set()


def test_chance_shows_in_the_second_round_in_which_it_can() -> None:
    history = [
        seen(n, *(step(n, who) for who in range(3)), 2 * normal(seeded(n + 70), WIDE))
        for n in range(1, 4)
    ]
    assert kinds(history[:2]) == set()
    assert kinds(history) == {("noise", ("3",))}


def test_a_state_of_before_is_stale_as_well_as_a_change() -> None:
    """Who sends the bytes of an earlier round undoes what came after them."""
    first = seen(1, *(step(1, who) for who in range(4)))
    made = torch.stack([step(1, who) for who in range(4)]).mean(0)
    bytes_again = step(1, 3) - made
    second = seen(2, *(step(2, who) for who in range(3)), bytes_again)
    assert kinds([first, second]) == {("stale", ("3",))}
    change_again = seen(2, *(step(2, who) for who in range(3)), 3 * step(1, 0))
    assert kinds([first, change_again]) == {("stale", ("3",))}


def test_copies_need_two_rounds_and_one_data_set_three() -> None:
    def with_last(number: int, distance: float) -> Seen:
        last = step(number, 0) + distance * normal(seeded(number + 50), WIDE)
        return seen(number, *(step(number, who) for who in range(4)), last)

    copies = [with_last(n, 0.05) for n in range(1, 4)]
    assert kinds(copies[:1]) == set()
    assert kinds(copies[:2]) == {("near_copy", ("0", "4"))}
    shared = [with_last(n, 0.4) for n in range(1, 6)]
    assert kinds(shared[:3]) == set()
    assert kinds(shared[:4]) == {("same_data", ("0", "4"))}


def test_what_is_praised_and_helps_nobody_is_told_after_three_rounds() -> None:
    losses = (-0.2, -0.3, -0.25, -0.2, 0.2)
    history = [
        seen(n, *(step(n, who) for who in range(4)), 5 * step(n, 4, own=0.1), losses=losses)
        for n in range(1, 4)
    ]
    assert kinds(history[:2]) == set()
    assert kinds(history) == {("crafted", ("4",))}
