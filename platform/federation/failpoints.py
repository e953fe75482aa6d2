"""Named points at which a test may have a process killed, to prove that nothing is lost.

Every durable write of a round is enclosed by `failpoint("W09", "before")` and
`failpoint("W09", "after")`, every step of a key's rotation likewise, as K01 to K03. In production
they do nothing. With FOEDUS_FAILPOINT set to "W09:before", or to "W09:before:3" for the third
passage of this process, the process sends itself SIGKILL there, as a power cut would: no handler,
no flush, no goodbye. "W09:before:1:STOP" freezes it instead. It happens once for all processes
that share FOEDUS_FAILPOINT_MARK, a path that is created just before.

"@PATH" names a file that says such a thing, or nothing for the time being: so a test arms a
process that runs already.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Literal

When = Literal["before", "after"]

_passages: Counter[str] = Counter()
_lock = threading.Lock()


def failpoint(point: str, when: When) -> None:
    """Die here if the environment asks for it and nobody has died for it yet."""
    wanted = os.environ.get("FOEDUS_FAILPOINT")
    if wanted is None:
        return
    if wanted.startswith("@"):
        wanted = _written(Path(wanted[1:]))
    place, rest = wanted.split(":")[:2], wanted.split(":")[2:]
    if place != [point, when]:
        return
    passage, name = rest + ["1", "KILL"][len(rest) :]
    if _passages_of(wanted) == int(passage):
        _die_once(os.environ["FOEDUS_FAILPOINT_MARK"], signal.Signals[f"SIG{name}"])


def _written(order: Path) -> str:
    with suppress(FileNotFoundError):
        return order.read_text(encoding="ascii").strip()
    return ""


def _passages_of(wanted: str) -> int:
    with _lock:
        _passages[wanted] += 1
        return _passages[wanted]


def _die_once(mark: str, number: signal.Signals) -> None:
    with suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.kill(os.getpid(), number)
