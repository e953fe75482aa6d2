"""The sums of coalitions that this site has measured before; the file stays in its folder."""

from __future__ import annotations

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from agent.files import made
from agent.home import Home
from federation.protocol_values import ValueSpec
from federation.valuation import Bin, Measured

KEPT = 4  # rounds


@dataclass(frozen=True, slots=True)
class Sums:
    """One line for each coalition of a round, measured on these data."""

    home: Home
    spec: ValueSpec
    data: str  # fingerprint of the test data

    def read(self) -> list[Measured]:
        """What is known; a line that a power cut left unfinished is not."""
        if not self._path.exists():
            return []
        return [one for line in self._path.read_text().splitlines() if (one := _read(line))]

    def keep(self, one: Measured) -> None:
        """Write it down, and let go of what has not been looked at for the longest."""
        line = json.dumps([sorted(one.coalition), [[each.loss, each.count] for each in one.bins]])
        with self._path.open("a") as file:
            file.write(f"{line}\n")
        by_use = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime)
        for path in by_use[:-KEPT]:
            path.unlink(missing_ok=True)

    @property
    def _path(self) -> Path:
        spec = self.spec
        facts = (spec.stacked.sha256, spec.plan_digest, spec.base.revision, spec.examples)
        name = sha256("\n".join(map(str, (*facts, self.data))).encode()).hexdigest()
        return self._folder / name

    @property
    def _folder(self) -> Path:
        return made(self.home.cache / "sums")


def _read(line: str) -> Measured | None:
    try:
        coalition, bins = json.loads(line)
    except ValueError:
        return None
    return Measured(frozenset(coalition), None, tuple(Bin(*each) for each in bins))
