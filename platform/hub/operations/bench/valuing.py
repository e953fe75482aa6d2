"""Exact values of a round: how fast coalitions are measured, against plain evaluations.

It is measured in a process of its own, so that its peak memory is its own. The limit is taken in
the same run: the round's plain adapter, measured on the same encoded examples over and over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from hub.catalogue.bases.registering import PACKAGES

EXAMPLES = 32


@dataclass(frozen=True, slots=True)
class Measured:
    """`evaluations` coalitions on so many examples; `seconds` for all of them and the values.

    `bootstrap_seconds`: of these, for the values and their intervals. Coalitions, and plain
    evaluations as the `limit`, for each second of one processor. `growth_bytes`: of memory, from
    the tenth coalition to the last.
    """

    players: int
    examples: int
    evaluations: int
    seconds: float
    bootstrap_seconds: float
    coalitions_per_second: float
    limit: float
    share: float
    growth_bytes: int


def measure(folder: Path, *, players: int) -> Measured:
    """Value a round of so many players, with the demo's model and adapter."""
    asked = {
        "base": str(_base()),
        "folder": str(folder),
        "players": players,
        "examples": EXAMPLES,
    }
    command = [sys.executable, "-m", "hub.operations.bench.valuing_row", json.dumps(asked)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603 (ours)
    found: dict[str, Any] = json.loads(done.stdout)
    share = found["coalitions_per_second"] / found["limit"]
    return Measured(players=players, examples=EXAMPLES, share=share, **found)


def _base() -> Path:
    packaged = PACKAGES["minilm"]
    return Path(str(files(packaged.module)), packaged.folder)
