"""How a training task uses the devices it may use together: one, all with a copy, or all in parts.

Nothing here imports torch before it is called: the poller has none.
"""

from __future__ import annotations

import math
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from enum import StrEnum
from math import prod
from pathlib import Path

import psutil

from federation.layout import read_layout
from federation.plan import FullWeights, Plan

MEBIBYTE = 1 << 20
JOIN = "+"
FP32, NF4 = 4.0, 0.57  # bytes of a base's value: NF4 with its scales, in two levels
MOMENTS = 12  # bytes of a trained value: its gradient and AdamW's two moments
KNOWN_SHARE = 0.7  # of a device's free memory; the rest is for activations, which nobody knows
FEWEST_BATCHES = 100  # with fewer, meeting each other takes longer than they save


class Mode(StrEnum):
    SINGLE = "single"
    DATA_PARALLEL = "data_parallel"
    FSDP = "fsdp"


@dataclass(frozen=True, slots=True)
class Demand:
    """What a plan asks of a place: bytes of the base, and of what training adds; its batches."""

    base_bytes: int
    trained_bytes: int
    batches: int
    batch_size: int

    @property
    def bytes(self) -> int:
        return self.base_bytes + self.trained_bytes


@dataclass(frozen=True, slots=True)
class Choice:
    """`reason` is for the site's log."""

    mode: Mode
    reason: str


def choose(demand: Demand, free: Sequence[int]) -> Choice:
    """How to use several devices with so many free bytes each."""
    count, room = len(free), int(KNOWN_SHARE * min(free))
    if demand.bytes > room:
        told = f"{_size(demand.bytes)} do not fit into {_size(room)} of a device"
        return Choice(Mode.FSDP, f"{told}: each of {count} holds a part")
    if demand.batch_size == 1:
        return Choice(Mode.SINGLE, "a batch of one example cannot be shared")
    if demand.batches < FEWEST_BATCHES:
        return Choice(Mode.SINGLE, f"{demand.batches} batches are done sooner by one device")
    return Choice(
        Mode.DATA_PARALLEL,
        f"{_size(demand.bytes)} fit into a device: {count} share {demand.batches} batches",
    )


def arranged(
    devices: Sequence[str],
    *,
    base: Path,
    plan: Plan,
    start: Path,
    examples: int,
    round_number: int,
) -> Choice:
    """How a training task uses its devices; where there is one, nothing is looked at."""
    if len(devices) == 1:
        return Choice(Mode.SINGLE, "there is one device")
    demand = demand_of(
        base=base, plan=plan, start=start, examples=examples, round_number=round_number
    )
    return choose(demand, free_bytes(devices))


def demand_of(*, base: Path, plan: Plan, start: Path, examples: int, round_number: int) -> Demand:
    """What this plan asks for; the base lies in its folder, in safetensors.

    All of the start lies beside the base; gradient and moments has only what the round trains.
    """
    training, travels = plan.training, plan.aggregation.travels(round_number)
    weights = sum(_values(file) for file in base.glob("*.safetensors"))
    counts = {name: prod(one.shape) for name, one in read_layout(start).tensors.items()}
    trained = sum(count for name, count in counts.items() if travels(name))
    beside = 0.0 if isinstance(plan.adapter, FullWeights) else FP32 * sum(counts.values())
    batches = math.ceil(training.epochs * math.ceil(examples / training.batch_size))
    if training.max_steps is not None:
        batches = min(batches, training.max_steps * training.accumulation)
    return Demand(
        base_bytes=int(weights * (NF4 if training.base_weights == "nf4" else FP32)),
        trained_bytes=int(trained * MOMENTS + beside),
        batches=batches,
        batch_size=training.batch_size,
    )


def members(device: str) -> tuple[str, ...]:
    """The devices of a group, by torch's names: `cuda:0+cuda:1`; of most groups there is one."""
    return tuple(device.split(JOIN))


def free_bytes(devices: Sequence[str]) -> list[int]:
    """What is free on each; processors share the machine's memory.

    Cards are asked in a process of its own: whoever opens one takes some of its memory, and can
    have no forks that open it too.
    """
    if not all(name.startswith("cuda") for name in devices):
        return [psutil.virtual_memory().available // len(devices)] * len(devices)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as asking:
        return list(asking.map(_free_on_card, devices))


def _free_on_card(name: str) -> int:
    import torch

    return int(torch.cuda.mem_get_info(torch.device(name))[0])


def _values(file: Path) -> int:
    from safetensors import safe_open

    with safe_open(file, framework="pt") as tensors:
        return sum(prod(tensors.get_slice(name).get_shape()) for name in tensors.keys())  # noqa: SIM118


def _size(count: int) -> str:
    return f"{count / MEBIBYTE:,.0f} MiB"
