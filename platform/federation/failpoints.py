"""Named points at which a test may have a process killed, to prove that nothing is lost.

Every durable write of a round is enclosed by `failpoint("W09", "before")` and
`failpoint("W09", "after")`. In production both do nothing. With FOEDUS_FAILPOINT set to
"W09:before", or to "W09:before:3" for the third passage of this process, the process sends
itself SIGKILL there, as a power cut would: no handler, no flush, no goodbye. It happens once for
all processes that share FOEDUS_FAILPOINT_MARK, a path that is created just before.
"""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from contextlib import suppress
from typing import Literal

When = Literal["before", "after"]

_passages: Counter[str] = Counter()
_lock = threading.Lock()


def failpoint(point: str, when: When) -> None:
    """Die here if the environment asks for it and nobody has died for it yet."""
    wanted = os.environ.get("FOEDUS_FAILPOINT")
    if wanted is None:
        return
    wanted_point, wanted_when, *passage = wanted.split(":")
    if (wanted_point, wanted_when) != (point, when):
        return
    if _passages_of(wanted) == int(passage[0] if passage else 1):
        _die_once(os.environ["FOEDUS_FAILPOINT_MARK"])


def _passages_of(wanted: str) -> int:
    with _lock:
        _passages[wanted] += 1
        return _passages[wanted]


def _die_once(mark: str) -> None:
    with suppress(FileExistsError):
        os.close(os.open(mark, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        os.kill(os.getpid(), signal.SIGKILL)
