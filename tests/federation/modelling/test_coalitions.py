"""Models of coalitions: what they are made of, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import fsum
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from federation.cohort import WeightedUpdate
from federation.engine import Method, aggregate
from federation.layout import modules_of, read_layout
from federation.modelling import evaluate
from federation.modelling.loading import device_for, kept_base
from federation.plan import Aggregation
from federation.reading import read_pair, read_residual
from federation.tensors import TensorFile, cut_rank, sha256_of, write_adapter
from federation.valuation import NOBODY, Coalition, Measured, Table, Valuation, valuations
from federation.valuation.coalitions import Board, board_of, weights_of, write_game
from federation.valuation.exact import coalitions
from federation.valuation.measuring import Bench, play
from federation.valuation.slopes import slopes
from tests.federation.modelling.worlds import (
    World,
    answers,
    begun,
    classification,
    continuation,
    ignore,
    weather,
    world_with,
)
from tests.federation.reference import distance
from tests.strategies import normal, seeded

PLAYERS = ("ada", "blaise", "zero")
STRATEGIES = ("stack_svd", "fedavg", "fedex", "ffa", "rolora", "fedsb")
ADAPTERS = ("lora", "lora causal", "dora", "ia3", "full")
ROUND = 2


@dataclass
class Game:
    """A round in which the last one sends the start back."""

    world: World
    folder: Path
    spread: float = 0.2
    ranks: tuple[int, ...] = (4, 4, 4)

    def __post_init__(self) -> None:
        self.travels = self.world.plan.aggregation.travels(ROUND)
        made = [self._update(*one) for one in enumerate(self.ranks)]
        self.updates = dict(zip(PLAYERS, made, strict=True))
        self.stacked = self.folder / "game"
        self.digest = write_game(
            start=self.world.start,
            updates=made,
            target=self.stacked,
            travels=self.travels,
        )

    def _update(self, number: int, rank: int) -> WeightedUpdate:
        own, target = self.world.start, self.folder / f"update-{number}"
        if rank < self.world.plan.adapter.rank:
            own = self.folder / "cut"
            cut_rank(self.world.start, rank, own)
        dice, size = seeded(number), self.spread * (number < 2)
        tensors = {
            name: value + size * normal(dice, *value.shape).float()
            for name, value in sorted(load_file(own).items())
            if self.travels(name)
        }
        write_adapter(target, tensors.items())
        return WeightedUpdate(target, 100.0 * (number + 1), rank, sha256_of(target))

    @contextmanager
    def board(self) -> Iterator[Board]:
        players = {name: [one.digest] for name, one in self.updates.items()}
        world = self.world
        with board_of(
            base=world.base,
            plan=world.plan,
            stacked=self.stacked,
            players=players,
            device="cpu",
        ) as board:
            yield board

    @contextmanager
    def bench(self, on_step=ignore) -> Iterator[Bench]:
        data = weather(30) if self.world.plan.task.type != "causal_lm" else answers(24)
        with self.board() as board:
            yield Bench.of(board, data, owner="carol", most=24, on_step=on_step)

    def valuation(self, name: str = "exact") -> Valuation:
        weights = weights_of(list(self.updates.values()))
        players = {player: weights[one.digest] for player, one in self.updates.items()}
        return Valuation(valuations[name](), players, "00", samples=50)

    def measured(self) -> list[Measured]:
        with self.bench() as bench:
            return list(play(self.valuation(), [], bench))

    def change(self, name: str, module: str) -> Tensor:
        """What an update does to a module's matrix."""
        update = self.updates[name]
        start = {key: value.double() for key, value in load_file(self.world.start).items()}
        sent = start | {k: v.double() for k, v in load_file(update.path).items()}
        return _dense(sent, module, update.rank) - _dense(start, module, update.rank)


def _dense(tensors: dict[str, Tensor], module: str, rank: int) -> Tensor:
    a, b = (tensors[f"{module}.lora_{f}.weight"] for f in "AB")
    a, b = a[:rank], b[:, :rank]
    middle = tensors.get(f"{module}.lora_R.weight")
    return b @ a if middle is None else b @ middle @ a


def game_of(strategy: str, encoder: Path, folder: Path, **changed: object) -> Game:
    plan = classification().model_copy(update={"aggregation": Aggregation(strategy=strategy)})
    return Game(begun(encoder, plan, folder / strategy), folder, **changed)


def game_with(name: str, encoder: Path, causal: Path, folder: Path, **changed: object) -> Game:
    if name.startswith("lora"):
        base, plan = (causal, continuation()) if "causal" in name else (encoder, classification())
        return Game(begun(base, plan, folder / "world"), folder, **changed)
    return Game(world_with(name, encoder, causal, folder / "world"), folder, **changed)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_coalition_is_the_start_with_the_changes_of_its_members(strategy, encoder, tmp_path):
    ranks = {"ranks": (4, 2, 3)} if strategy == "stack_svd" else {}
    game = game_of(strategy, encoder, tmp_path, **ranks)
    start = load_file(game.world.start)
    weights = game.valuation().players
    assert fsum(weights.values()) == pytest.approx(1)
    assert weights["blaise"] == pytest.approx(2 * weights["ada"])
    with game.board() as board, TensorFile(game.world.start) as file:
        for coalition in coalitions(PLAYERS):
            board.set_up(coalition)
            found = board.model.parameters
            for module in modules_of(read_layout(game.world.start)):
                more = read_residual(file, module)
                expected = read_pair(file, module).dense() + (more.dense() if more else 0)
                for one in coalition:
                    expected = expected + weights[one] * game.change(one, module)
                product = _dense({k: v.detach().double() for k, v in found.items()}, module, 99)
                assert distance(product, expected) < 1e-5 or expected.norm() < 1e-9
            for name in set(found) & set(start) - {n for n in found if ".lora_" in n}:
                changes = (load_file(game.updates[o].path)[name] - start[name] for o in coalition)
                moved = sum(weights[o] * c for o, c in zip(coalition, changes, strict=True))
                torch.testing.assert_close(found[name].detach(), start[name] + moved)


@pytest.mark.parametrize("name", ADAPTERS)
def test_val_3_an_update_that_changes_nothing_changes_no_bit(name, encoder, causal, tmp_path):
    game = game_with(name, encoder, causal, tmp_path)
    measured = {one.coalition: one.bins for one in game.measured()}
    assert len(measured) == 8
    for coalition in coalitions(("ada", "blaise")):
        assert measured[coalition | {"zero"}] == measured[coalition]
    assert len(set(measured.values())) == 4
    table = Table.of(Measured(one, "carol", bins) for one, bins in measured.items())
    found = game.valuation().valued(table).contributions
    assert (found["zero"].value, found["zero"].lower, found["zero"].upper) == (0.0, 0.0, 0.0)
    assert found["ada"].value != 0.0


@pytest.mark.parametrize("name", ADAPTERS)
def test_nobody_is_the_start_as_an_evaluation_has_it(name, encoder, causal, tmp_path):
    game = game_with(name, encoder, causal, tmp_path)
    world = game.world
    with game.bench() as bench:
        nobody = bench.measured(NOBODY)
    data = answers(24) if world.plan.task.type == "causal_lm" else weather(30)
    whole = evaluate(
        base=world.base,
        plan=world.plan,
        adapter=world.start,
        examples=data,
        on_step=ignore,
        device="cpu",
    )
    rows = [place * len(data) // 24 for place in range(24)]
    assert sum(one.loss for one in nobody.bins) == pytest.approx(
        1e6 * sum(whole.rows.losses[row] for row in rows), rel=1e-4
    )
    assert sum(one.count for one in nobody.bins) == sum(whole.rows.terms[row] for row in rows)


def test_val_13_another_aggregation_of_a_logged_round_changes_no_value(encoder, tmp_path):
    """The round is aggregated anew each time, to another model."""
    results, digests, tables = set(), set(), []
    for number, aggregation in enumerate(
        (
            Aggregation(),
            Aggregation(strategy="fedavg"),
            Aggregation(strategy="fedex"),
            Aggregation(rule="geometric_median"),
            Aggregation(combination="median"),
        )
    ):
        (folder := tmp_path / str(number)).mkdir()
        plan = classification().model_copy(update={"aggregation": aggregation})
        game = Game(begun(encoder, plan, tmp_path / "world"), folder)
        aggregate(
            start=game.world.start,
            updates=list(game.updates.values()),
            method=Method.of(plan, ROUND),
            target=folder / "result",
        )
        results.add(sha256_of(folder / "result"))
        digests.add(game.digest)
        tables.append(game.measured())
    assert len(results) == 5
    assert len(digests) == 1
    assert all(table == tables[0] for table in tables)


@pytest.mark.parametrize("name", ["lora", "ia3", "full"])
def test_a_slope_is_what_small_changes_bring(name, encoder, causal, tmp_path):
    game = game_with(name, encoder, causal, tmp_path, spread=0.002)
    with game.bench() as bench:
        exact = game.valuation().valued(Table.of(play(game.valuation(), [], bench)))
        sloped = game.valuation("gradient_alignment").valued(Table.of(slopes(bench)))
    for player in ("ada", "blaise"):
        expected = exact.contributions[player].value
        assert sloped.contributions[player].value == pytest.approx(expected, rel=0.1, abs=1e-6)
    zero = sloped.contributions["zero"]
    assert (zero.value, zero.lower, zero.upper) == (0.0, 0.0, 0.0)


def test_what_is_known_is_not_measured_again(encoder, tmp_path):
    game = game_of("stack_svd", encoder, tmp_path)
    asked = game.valuation()
    with game.bench() as bench:
        first = [one for one, _ in zip(play(asked, [], bench), range(3), strict=False)]
        rest = list(play(asked, first, bench))
    assert {one.coalition for one in first}.isdisjoint(one.coalition for one in rest)
    assert asked.valued(Table.of([*first, *rest])) == asked.valued(Table.of(game.measured()))


def test_what_an_observer_raises_ends_the_measurement(encoder, tmp_path):
    def cancel(_: object) -> None:
        raise KeyboardInterrupt

    game = game_of("stack_svd", encoder, tmp_path)
    with pytest.raises(KeyboardInterrupt), game.bench(cancel) as bench:
        bench.measured(NOBODY)


def test_boards_do_not_pile_up_on_a_base(encoder, tmp_path):
    sizes = []
    for number, ranks in enumerate(((4, 4, 4), (4, 3, 2), (2, 2, 2), (1, 4, 4))):
        (folder := tmp_path / str(number)).mkdir()
        game = game_of("stack_svd", encoder, folder, ranks=ranks)
        before = evaluated(game.world)
        with game.bench() as bench:
            bench.measured(frozenset({"ada"}))
        assert evaluated(game.world) == before
        plan = game.world.plan
        sizes.append(len(kept_base(encoder, plan, device_for(plan, "cpu")).peft.peft_config))
    assert len(set(sizes[1:])) == 1


def evaluated(world: World) -> float:
    return evaluate(
        base=world.base,
        plan=world.plan,
        adapter=world.start,
        examples=weather(),
        on_step=ignore,
        device="cpu",
    ).loss_sum


def test_who_does_not_play_is_in_no_coalition(encoder, tmp_path):
    game = game_of("stack_svd", encoder, tmp_path)
    stranger: Coalition = frozenset({"dora"})
    with game.board() as board, pytest.raises(KeyError):
        board.set_up(stranger)
