"""The round that is valued, in a process of its own; see `valuing`."""

from __future__ import annotations

import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from federation.cohort import WeightedUpdate
from federation.cores import single_threaded
from federation.modelling import Examples, Step, create_adapter
from federation.modelling.adapting import adapted
from federation.modelling.kinds import kind_of
from federation.modelling.loading import device_for, kept_base
from federation.modelling.objectives import answers
from federation.plan import Lora, Plan, SequenceClassification, Training
from federation.tensors import sha256_of, write_adapter
from federation.valuation import Measured, Table, Valuation, valuations
from federation.valuation.coalitions import board_of, write_game
from federation.valuation.exact import coalitions
from federation.valuation.measuring import Bench

LABELS = tuple(f"label {number}" for number in range(10))
TEXT = "how much money is left on my card please tell me what the weather will be tomorrow"
WARM = 10  # measurements after which memory should have stopped to grow
PLAIN = 24  # evaluations that the limit is taken from, spread over the coalitions


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """Value a round exactly; between coalitions the plain adapter is measured now and then."""
    base, folder = Path(asked["base"]), Path(asked["folder"])
    plan = Plan(
        task=SequenceClassification(labels=LABELS, max_tokens=48),
        adapter=Lora(rank=8),
        training=Training(batch_size=16),
    )
    start = folder / "start.safetensors"
    create_adapter(base=base, plan=plan, target=start)
    updates = [_update(start, number, folder) for number in range(asked["players"])]
    stacked = folder / "game.safetensors"
    write_game(start=start, updates=updates, target=stacked)
    players = {f"player {number}": [one.digest] for number, one in enumerate(updates)}
    with board_of(base=base, plan=plan, stacked=stacked, players=players) as board:
        bench = Bench.of(board, _texts(asked["examples"]), owner=None, most=5000, on_step=_nothing)
        return _measured(bench, Plain(base, plan, start, bench), tuple(sorted(players)))


def _measured(bench: Bench, plain: Plain, players: tuple[str, ...]) -> dict[str, Any]:
    every = list(coalitions(players))
    apart = max(1, len(every) // PLAIN)
    found: list[Measured] = []
    wall, spent, of_plain, early = 0.0, 0.0, 0.0, 0
    for number, coalition in enumerate(every):
        if number % apart == 0:
            of_plain += plain.seconds()
        if number == min(WARM, len(every) - 1):
            early = _peak()
        began, at = time.perf_counter(), time.process_time()
        found.append(bench.measured(coalition))
        wall, spent = wall + time.perf_counter() - began, spent + time.process_time() - at
    growth, began = _peak() - early, time.perf_counter()
    weights = dict.fromkeys(players, 1 / len(players))
    Valuation(valuations["exact"](), weights, "00").valued(Table.of(found))
    values = time.perf_counter() - began
    return {
        "evaluations": len(every),
        "seconds": wall + values,
        "bootstrap_seconds": values,
        "coalitions_per_second": len(every) / spent,
        "limit": plain.count / of_plain,
        "growth_bytes": growth,
    }


class Plain:
    """The round's own adapter over the same base, and the plainest loop over the same batches."""

    def __init__(self, base: Path, plan: Plan, start: Path, bench: Bench) -> None:
        self._bench, self._plan = bench, plan
        self._kept = kept_base(base, plan, device_for(plan, "auto"))
        self._start = start
        self.count = 0

    def seconds(self) -> float:
        """Of one processor, for one evaluation; the stack is laid over the base again."""
        stacked = self._kept.peft.active_adapter
        model = adapted(self._kept, self._plan, rank=self._plan.adapter.rank, file=self._start)
        model.model.eval()
        kind = kind_of(self._plan)
        began = time.process_time()
        with torch.inference_mode():
            for _, given in self._bench.batches(range(len(self._bench.encoded))):
                answers(model.model, kind.batch(given, model, self._plan, None), self._plan)
        spent = time.process_time() - began
        self._kept.peft.set_adapter(stacked)
        self.count += 1
        return spent


def _update(start: Path, number: int, folder: Path) -> WeightedUpdate:
    dice, path = torch.Generator().manual_seed(number), folder / f"{number}.safetensors"
    moved = {
        name: value + 0.01 * torch.randn(value.shape, generator=dice)
        for name, value in sorted(load_file(start).items())
    }
    write_adapter(path, moved.items())
    return WeightedUpdate(path, 100.0, 8, sha256_of(path))


def _texts(count: int) -> Examples:
    """Requests of 6 to 15 words, no two alike."""
    words = TEXT.split()
    texts = [" ".join(words[: 5 + n % 10]) + f" {n}" for n in range(count)]
    return Examples(texts, labels=[LABELS[n % len(LABELS)] for n in range(count)])


def _nothing(_: Step) -> None:
    """What nobody who measures speed does at every batch."""


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    with single_threaded():
        sys.stdout.write(json.dumps(run(json.loads(sys.argv[1]))))
