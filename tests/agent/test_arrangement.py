from __future__ import annotations

from math import prod
from pathlib import Path

import pytest

from agent.arrangement import Demand, Mode, arranged, choose, demand_of, free_bytes, members
from federation.layout import lora_factor, read_layout
from federation.plan import Aggregation, FullWeights, Plan
from tests.agent import tiny

GIB = 1 << 30
HEADER = 8 << 10  # of a file of weights, at most


def demand(**facts: int) -> Demand:
    """A model of one gibibyte and work enough, unless told otherwise."""
    return Demand(
        **({"base_bytes": GIB, "trained_bytes": 0, "batches": 1000, "batch_size": 8} | facts)
    )


CHOICES = [
    (demand(), [24, 24], Mode.DATA_PARALLEL),
    (demand(), [24, 1], Mode.FSDP),  # the fullest card decides
    (demand(base_bytes=16 * GIB), [24, 24], Mode.DATA_PARALLEL),
    (demand(base_bytes=17 * GIB), [24, 24], Mode.FSDP),  # 0.7 · 24 GiB
    (demand(base_bytes=17 * GIB), [80, 80], Mode.DATA_PARALLEL),
    (demand(base_bytes=8 * GIB, trained_bytes=16 * GIB), [24, 24], Mode.FSDP),
    (demand(base_bytes=900 * GIB), [24, 24], Mode.FSDP),  # where nothing is enough, the most
    (demand(batches=99), [24, 24], Mode.SINGLE),
    (demand(batches=100), [24, 24], Mode.DATA_PARALLEL),
    (demand(batch_size=1), [24, 24], Mode.SINGLE),
    (demand(batch_size=2), [24] * 8, Mode.DATA_PARALLEL),
    (demand(base_bytes=17 * GIB, batches=1, batch_size=1), [24, 24], Mode.FSDP),
]


@pytest.mark.parametrize(("wanted", "free", "mode"), CHOICES)
def test_size_and_work_decide_how_devices_are_used(
    wanted: Demand, free: list[int], mode: Mode
) -> None:
    choice = choose(wanted, [count * GIB for count in free])
    assert choice.mode is mode
    assert len(choice.reason) > 20


def test_the_reason_has_the_figures() -> None:
    assert choose(demand(base_bytes=17 * GIB), [24 * GIB] * 2).reason == (
        "17,408 MiB do not fit into 17,203 MiB of a device: each of 2 holds a part"
    )


def full(plan: Plan) -> Plan:
    changes = {"adapter": FullWeights(), "aggregation": Aggregation(strategy="fedavg")}
    return plan.model_copy(update=changes)


def test_a_plan_asks_for_its_base_and_for_what_it_trains(
    base: Path, adapter: bytes, tmp_path: Path
) -> None:
    (tmp_path / "start").write_bytes(adapter)
    plan = tiny.plan(epochs=2.5, batch_size=8)
    facts = {"base": base, "start": tmp_path / "start", "examples": 60, "round_number": 1}
    found = demand_of(plan=plan, **facts)
    (file,) = base.glob("*.safetensors")
    assert 0 <= file.stat().st_size - found.base_bytes < HEADER
    assert 0 <= 4 * len(adapter) - found.trained_bytes < 4 * HEADER  # itself, and thrice beside
    assert (found.batches, found.batch_size) == (20, 8)
    assert demand_of(plan=full(plan), **facts).trained_bytes == found.trained_bytes * 3 // 4
    short = tiny.plan(max_steps=3, accumulation=2, base_weights="nf4")
    assert demand_of(plan=short, **facts).batches == 6
    assert demand_of(plan=short, **facts).base_bytes < found.base_bytes / 7


def test_only_what_a_round_trains_has_moments(base: Path, adapter: bytes, tmp_path: Path) -> None:
    start = tmp_path / "start"
    start.write_bytes(adapter)
    counts = {name: prod(one.shape) for name, one in read_layout(start).tensors.items()}
    factors = {f: sum(n for name, n in counts.items() if lora_factor(name) == f) for f in "AB"}
    head = sum(n for name, n in counts.items() if lora_factor(name) is None)

    def trained(strategy: str, number: int) -> int:
        plan = tiny.plan().model_copy(update={"aggregation": Aggregation(strategy=strategy)})
        facts = {"base": base, "start": start, "examples": 60, "round_number": number}
        return demand_of(plan=plan, **facts).trained_bytes - 4 * sum(counts.values())

    assert trained("stack_svd", 1) == 12 * sum(counts.values())
    assert trained("ffa", 1) == 12 * (factors["B"] + head)
    one, other = trained("rolora", 1), trained("rolora", 2)
    assert {one, other} == {12 * (factors["A"] + head), 12 * (factors["B"] + head)}


def test_one_device_is_used_alone_and_nothing_is_looked_at(tmp_path: Path) -> None:
    files = {"base": tmp_path, "start": tmp_path / "none"}
    nothing = {**files, "plan": tiny.plan(), "examples": 9, "round_number": 1}
    assert arranged(("cuda:7",), **nothing).mode is Mode.SINGLE


def test_processors_share_the_memory_of_the_machine() -> None:
    assert members("cpu+cpu") == ("cpu", "cpu")
    one, other = free_bytes(members("cpu+cpu"))
    assert one == other > 1 << 20
    assert members("cuda:0") == ("cuda:0",)
