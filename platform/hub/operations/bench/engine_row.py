"""One row of the engine's measurements, in a process of its own; see `engine`."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from federation.engine import Method, WeightedUpdate, aggregate, evidence_of
from federation.layout import A_SUFFIX, B_SUFFIX
from federation.plan import Plan
from federation.tensors import stream_adapter

TENSORS = 8
REPEATS = 3
CHUNK = 1 << 18
HEADER = 4096  # more than any header here; the loop of the limit leaves it out


def make(asked: dict[str, Any]) -> dict[str, Any]:
    """Write the start and the updates."""
    for number in range(asked["count"] + 1):
        rank = max(asked["ranks"], default=1) if number == 0 else _rank(asked, number)
        shapes = _shapes(asked, rank)
        stream_adapter(_path(asked, number), shapes, _values(shapes, number))
    return {}


def run(asked: dict[str, Any]) -> dict[str, Any]:
    """The fastest of some aggregations, and the most memory over that of the idle process."""
    rank = max(asked["ranks"], default=1)
    plan = Plan.model_validate(
        {
            "task": {"type": "causal_lm"},
            "adapter": {"rank": rank, "alpha": rank} if asked["ranks"] else {"type": "full"},
            "rounds": {"quorum": asked["count"]},
            "aggregation": asked["aggregation"],
        }
    )
    method, start = Method.of(plan), _path(asked, 0)
    updates = [
        WeightedUpdate(_path(asked, n), float(n), _rank(asked, n), f"{n:064x}")
        for n in range(1, asked["count"] + 1)
    ]
    target = Path(asked["folder"]) / "result.safetensors"
    idle, evidence_times, times = _peak(), [], []
    for _ in range(REPEATS):
        began = time.perf_counter()
        evidence = evidence_of(start=start, updates=updates, scale=method.scale)
        middle = time.perf_counter()
        aggregate(start=start, updates=updates, method=method, target=target, evidence=evidence)
        times.append(time.perf_counter() - middle)
        evidence_times.append(middle - began)
    return {
        "gigabytes": sum(update.path.stat().st_size for update in updates) / 1e9,
        "evidence_seconds": min(evidence_times),
        "seconds": min(times),
        "peak_bytes": _peak() - idle,
    }


def limit(asked: dict[str, Any]) -> dict[str, Any]:
    """The fastest of some plain loops: map, add up, write."""
    paths = [_path(asked, number) for number in range(1, asked["count"] + 1)]
    target = Path(asked["folder"]) / "limit.safetensors"
    size = min(path.stat().st_size for path in paths) - HEADER
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        maps = [np.memmap(p, np.float32, "r", HEADER, (size // 4,)) for p in paths]
        with target.open("wb") as file:
            for first in range(0, size // 4, CHUNK):
                total = maps[0][first : first + CHUNK].copy()
                for values in maps[1:]:
                    total += values[first : first + CHUNK]
                file.write(total.data)
        times.append(time.perf_counter() - began)
    return {"gigabytes_per_second": size * len(paths) / 1e9 / min(times)}


def _shapes(asked: dict[str, Any], rank: int) -> dict[str, tuple[int, ...]]:
    if width := asked["width"]:
        return {f"module{A_SUFFIX}": (rank, width), f"module{B_SUFFIX}": (width, rank)}
    return {f"tensor{n}": (asked["values"] // TENSORS,) for n in range(TENSORS)}


def _values(shapes: dict[str, tuple[int, ...]], seed: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Values that differ from file to file and cost next to nothing to make."""
    noise = torch.randn(CHUNK, generator=torch.Generator().manual_seed(seed))
    for name in sorted(shapes):
        count = torch.Size(shapes[name]).numel()
        for first in range(0, count, CHUNK):
            yield name, noise[: min(CHUNK, count - first)]


def _rank(asked: dict[str, Any], number: int) -> int:
    return int(asked["ranks"][number - 1]) if asked["ranks"] else 1


def _path(asked: dict[str, Any], number: int) -> Path:
    return Path(asked["folder"]) / f"{number}.safetensors"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


WORK = {"make": make, "aggregate": run, "limit": limit}

if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    sys.stdout.write(json.dumps(WORK[told["work"]](told)))
