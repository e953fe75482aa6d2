"""What this site has measured before, example by example; it never leaves the agent's folder.

A reference is measured again and again in a run, always with the same result.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

from agent.files import made, write_whole
from agent.home import Home
from federation.modelling import Evaluated
from federation.protocol import EvaluateSpec, Scores
from federation.tallies import Rows

FORM = "1"  # of the files; another one is another name
KEPT = 8
MOST_ROWS = 200_000  # of a test set whose results are kept


@dataclass(frozen=True, slots=True)
class Measured:
    home: Home
    spec: EvaluateSpec
    data: str  # fingerprint of the test data

    def once(self, adapter: str, measure: Callable[[], Evaluated]) -> Evaluated:
        """The result for the adapter of this digest; measured unless it is known."""
        path = self._path(adapter)
        if path.exists():
            os.utime(path)
            return _read(path)
        found = measure()
        if found.examples <= MOST_ROWS:
            write_whole(path, _written(found))
            self._prune()
        return found

    def _path(self, adapter: str) -> Path:
        facts = (FORM, adapter, self.spec.plan_digest, self.spec.base.revision, self.data)
        return self._folder / sha256("\n".join(facts).encode()).hexdigest()

    @property
    def _folder(self) -> Path:
        return made(self.home.cache / "measured")

    def _prune(self) -> None:
        by_use = sorted(self._folder.glob("[!.]*"), key=_used, reverse=True)
        for path in by_use[KEPT:]:
            path.unlink(missing_ok=True)


def _used(path: Path) -> float:
    return path.stat().st_mtime if path.exists() else 0.0


def _written(found: Evaluated) -> str:
    scores = found.scores and found.scores.model_dump()
    return json.dumps({"rows": asdict(found.rows), "scores": scores})


def _read(path: Path) -> Evaluated:
    document = json.loads(path.read_bytes())
    rows = {name: value and tuple(value) for name, value in document["rows"].items()}
    scores = document["scores"]
    return Evaluated(Rows(**rows), scores and Scores.model_validate(scores))
