"""The engine's peak memory, measured from outside: it does not grow with the number of updates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import torch

from federation.layout import A_SUFFIX, B_SUFFIX
from federation.tensors import write_adapter
from tests.strategies import seeded

MEBIBYTE = 1 << 20
ROOTS = Path(__file__).parents[2], Path(__file__).parents[2] / "platform"

PROGRAM = """
import json, resource, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
from federation.engine import Method, WeightedUpdate, aggregate
from federation.optimisers import optimisers
from federation.strategies import strategies

folder, strategy, optimiser = Path(sys.argv[2]), sys.argv[3], optimisers[sys.argv[4]]()

def peak_of(count):
    updates = [
        WeightedUpdate(folder / f"{i % 3}", 1.0 + i, 8, f"{i:064x}") for i in range(count)
    ]
    method = Method(strategy=strategies[strategy](), scale=2.0, rank=8, optimiser=optimiser)
    aggregate(
        start=folder / "start",
        updates=updates,
        method=method,
        target=folder / "target",
        state_target=folder / "state",
    )
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

print(json.dumps([peak_of(3), peak_of(48)]))
"""


def test_peak_memory_does_not_grow_with_the_number_of_updates(tmp_path):
    """45 more updates of 9 MiB each: the peak grows by less than one or two of them.

    Stacked pairs widen with each update until a module is folded; a step along them holds the
    changes, which are twice as wide.
    """
    size = write_update(tmp_path / "start", seed=0)
    for index in range(3):
        write_update(tmp_path / f"{index}", seed=index + 1)
    cells = {
        ("stack_svd", "none"): 1,
        ("fedavg", "none"): 1,
        ("stack_svd", "fedavgm"): 2,
        ("fedavg", "fedadam"): 1,
    }
    for cell, most in cells.items():
        few, many = peaks(tmp_path, *cell)
        assert many - few < most * size, f"{cell}: {(many - few) / MEBIBYTE:.1f} MiB more"


def write_update(path: Path, *, seed: int) -> int:
    generator = seeded(seed)
    tensors = {"head": torch.randn(2 * MEBIBYTE, generator=generator)}
    for layer in range(4):
        tensors[f"layer{layer}{A_SUFFIX}"] = torch.randn(8, 256, generator=generator)
        tensors[f"layer{layer}{B_SUFFIX}"] = torch.randn(256, 8, generator=generator)
    write_adapter(path, tensors.items())
    return path.stat().st_size


def peaks(folder: Path, *cell: str) -> list[int]:
    command = [sys.executable, "-c", PROGRAM, json.dumps([*map(str, ROOTS)]), folder, *cell]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
