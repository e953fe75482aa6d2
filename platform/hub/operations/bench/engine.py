"""The aggregation engine by itself: how fast it reads, against the machine's own limit.

Each row is measured in a process of its own, so that its peak memory is its own. The limit is
taken in the same run from the same files: a loop that maps them, adds them up and writes the sum.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class EngineRow:
    """So many updates of so many megabytes; `method` is a part of `aggregation` in a plan.

    `ranks`: LoRA pairs of these ranks beside square matrices of `width`, instead of plain tensors.
    `gate_share`: of the limit; `gate_seconds`; `gate_gigabytes` of input a second.
    """

    count: int
    megabytes: int = 0
    method: Mapping[str, object] = field(default_factory=dict)
    ranks: Sequence[int] = ()
    width: int = 0
    gate_share: float | None = None
    gate_seconds: float | None = None
    gate_gigabytes: float | None = None


MEAN: Mapping[str, object] = MappingProxyType({"strategy": "fedavg"})
ROWS: Mapping[str, EngineRow] = MappingProxyType(
    {
        "mean-10x100": EngineRow(10, 100, MEAN, gate_share=0.7),
        "mean-64x64": EngineRow(64, 64, MEAN, gate_share=0.7),
        "mean-4x64": EngineRow(4, 64, MEAN, gate_share=0.7),
        "mean-4x1024": EngineRow(4, 1024, MEAN, gate_share=0.7),
        "krum-10x100": EngineRow(10, 100, {**MEAN, "rule": "krum"}),
        "geometric_median-10x100": EngineRow(10, 100, {**MEAN, "rule": "geometric_median"}),
        "median-10x100": EngineRow(10, 100, {**MEAN, "combination": "median"}, gate_gigabytes=0.1),
        "trimmed_mean-10x100": EngineRow(
            10, 100, {**MEAN, "combination": "trimmed_mean"}, gate_gigabytes=0.1
        ),
        "stack_svd-8x4096": EngineRow(
            8, ranks=(4, 4, 8, 8, 16, 16, 32, 64), width=4096, gate_seconds=5.0
        ),
    }
)
USUAL = ("mean-10x100", "median-10x100", "stack_svd-8x4096")


@dataclass(frozen=True, slots=True)
class Measured:
    """`evidence_seconds` is the pass over inner products, `seconds` the one for the result.

    `share`: of the limit, of the second pass. `peak_bytes` are over those of the idle process.
    """

    name: str
    gigabytes: float
    evidence_seconds: float
    seconds: float
    gigabytes_per_second: float
    limit: float
    share: float
    peak_bytes: int


def measure(name: str, folder: Path) -> Measured:
    """Measure a row of `ROWS` over files that are made in the folder, and removed again."""
    row = ROWS[name]
    asked = {
        "folder": str(folder),
        "count": row.count,
        "values": row.megabytes * MEGABYTE // 4,
        "aggregation": dict(row.method),
        "ranks": list(row.ranks),
        "width": row.width,
    }
    try:
        _told({**asked, "work": "make"})
        found = _told({**asked, "work": "aggregate"})
        limit = _told({**asked, "work": "limit"})["gigabytes_per_second"]
    finally:
        for file in folder.glob("*.safetensors"):
            file.unlink()
    speed = found["gigabytes"] / found["seconds"]
    return Measured(name, gigabytes_per_second=speed, limit=limit, share=speed / limit, **found)


def gate(name: str) -> str:
    """What a row should reach."""
    row = ROWS[name]
    if row.gate_share:
        return f"{row.gate_share:.0%}"
    if row.gate_seconds:
        return f"{row.gate_seconds:.0f} s"
    return f"{row.gate_gigabytes} GB/s" if row.gate_gigabytes else ""


def _told(asked: dict[str, Any]) -> dict[str, Any]:
    """What `engine_row` says of it, in a process of its own."""
    command = [sys.executable, "-m", "hub.operations.bench.engine_row", json.dumps(asked)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 (ours)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
