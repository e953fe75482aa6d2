"""How long a member's check of a whole ledger takes, with nothing but the export."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from hub.operations.bench.chronicle import Chronicle

MEMBERS, VALUED_EVERY, SIGNED_EVERY = 8, 50, 4
CORES = 2


@dataclass(frozen=True, slots=True)
class Verified:
    """Seconds on the wall and of all cores; memory of the largest process."""

    entries: int
    megabytes: int
    seconds: float
    core_seconds: float
    peak_mib: int


def measure(folder: Path, *, entries: int) -> Verified:
    """Check an export of so many entries, on two cores.

    Of a round there are eight signed updates with their verdicts, eight evaluations, opening,
    closing and version; every fourth has a checkpoint that all cosign, every fiftieth is valued.
    """
    export = folder / "ledger.jsonl"
    story = Chronicle(members=MEMBERS, valued_every=VALUED_EVERY, signed_every=SIGNED_EVERY)
    with export.open("w") as file:
        file.writelines(story.rows(entries))
    size, before, began = export.stat().st_size, _children(), time.monotonic()
    _check(export)
    seconds, after = time.monotonic() - began, _children()
    export.unlink()
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Verified(
        story.tree.size, size // 10**6, round(seconds, 1), round(spent, 1), after.ru_maxrss // 1024
    )


def _check(export: Path) -> None:
    program = [sys.executable, "-m", "verifier", "ledger", str(export), "--processes", str(CORES)]
    workers = {"PYTHONPATH": str(settings.ROOT / "workers")}
    env = os.environ | workers
    subprocess.run(program, env=env, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 (our own)


def _children() -> resource.struct_rusage:
    return resource.getrusage(resource.RUSAGE_CHILDREN)
