"""A cap on what passes between the agent and its hub, for a site whose line others need, too.

Bodies go through in small pieces, each when its time has come: at most so many bytes a second each
way, in each process. The hub's connections for JSON share the cap with updates and downloads, and
are served in between. What the operating system holds in its buffers is not seen here.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import httpx

from agent.errors import AgentFault

VARIABLE = "AGENT_BYTES_PER_SECOND"
PIECES_PER_SECOND = 20
CAUGHT_UP_SECONDS = 0.5  # who was held up for less, on a busy machine, makes up for it
SMALLEST_PIECE, LARGEST_PIECE = 512, 64 << 10

Hooks = dict[str, list[Callable[..., Any]]]


@dataclass(slots=True)
class Line:
    """One way of the line: who asks books its bytes, and is told how long to wait first."""

    bytes_per_second: float
    _free_at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def piece_bytes(self) -> int:
        wanted = int(self.bytes_per_second / PIECES_PER_SECOND)
        return max(SMALLEST_PIECE, min(wanted, LARGEST_PIECE))

    def booked(self, size_bytes: int) -> float:
        """Seconds until these bytes may pass."""
        with self._lock:
            now = time.monotonic()
            was_late = 0 < now - self._free_at < CAUGHT_UP_SECONDS
            begin = self._free_at if was_late else max(self._free_at, now)
            self._free_at = begin + size_bytes / self.bytes_per_second
            return max(0.0, self._free_at - now)

    def pieces(self, block: bytes) -> Iterator[bytes]:
        view = memoryview(block)
        for begin in range(0, len(view), self.piece_bytes):
            yield bytes(view[begin : begin + self.piece_bytes])


@dataclass(frozen=True, slots=True)
class Cap:
    """Both ways; they do not slow each other down."""

    up: Line
    down: Line


def cap() -> Cap | None:
    """What the environment allows this process; None: everything. Raises AgentFault."""
    return _cap(os.environ.get(VARIABLE, ""))


@cache
def _cap(text: str) -> Cap | None:
    if not text:
        return None
    try:
        allowed = float(text)
    except ValueError:
        allowed = 0.0
    if not 0 < allowed < float("inf"):
        raise AgentFault(f"{VARIABLE} is a number of bytes above 0, not {text!r}.")
    return Cap(Line(allowed), Line(allowed))


def pacing() -> Hooks:
    """Hooks for an httpx client that keep it to the cap."""
    allowed = cap()
    if allowed is None:
        return {}
    return {"request": [_slowing(allowed.up)], "response": [_slowing(allowed.down)]}


def _slowing(line: Line) -> Callable[[httpx.Request | httpx.Response], Awaitable[None]]:
    async def slow(message: httpx.Request | httpx.Response) -> None:
        message.stream = _Slow(message.stream, line)

    return slow


class _Slow(httpx.AsyncByteStream):
    def __init__(self, stream: Any, line: Line) -> None:
        self._stream, self._line = stream, line

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for block in self._stream:
            for piece in self._line.pieces(block):
                await asyncio.sleep(self._line.booked(len(piece)))
                yield piece

    async def aclose(self) -> None:
        await self._stream.aclose()
