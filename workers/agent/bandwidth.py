"""A cap on what passes between the agent and its hub, for a site whose line others need, too.

Bodies go through in small pieces, each when its time has come: at most so many bytes a second each
way, for all processes of an agent together. The hub's connections for JSON share the cap with
updates and downloads, and are served in between. What the operating system holds in its buffers is
not seen here.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import httpx

from agent.errors import AgentFault

VARIABLE = "AGENT_BYTES_PER_SECOND"
PIECES_PER_SECOND = 20
CAUGHT_UP_SECONDS = 0.5  # who was held up for less, on a busy machine, makes up for it
SMALLEST_PIECE, LARGEST_PIECE = 512, 64 << 10
FARTHEST_SECONDS = 60.0  # a booking farther ahead is from before the clock was set back

MOMENT = struct.Struct("<d")
SHARED = ("line-up", "line-down")  # files in a folder of the agent's

Hooks = dict[str, list[Callable[..., Any]]]


@dataclass(slots=True)
class Line:
    """One way of the line: who asks books its bytes, and is told how long to wait first.

    `book`: when the line is free again, by the clock on the wall, for all who have the file open.
    """

    bytes_per_second: float
    book: IO[bytes] = field(default_factory=tempfile.TemporaryFile)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def piece_bytes(self) -> int:
        wanted = int(self.bytes_per_second / PIECES_PER_SECOND)
        return max(SMALLEST_PIECE, min(wanted, LARGEST_PIECE))

    def booked(self, size_bytes: int) -> float:
        """Seconds until these bytes may pass."""
        with self._turn():
            now, free_at = time.time(), self._free_at
            if free_at > now + FARTHEST_SECONDS:
                free_at = now
            was_late = 0 < now - free_at < CAUGHT_UP_SECONDS
            begin = free_at if was_late else max(free_at, now)
            self._free_at = begin + size_bytes / self.bytes_per_second
            return max(0.0, self._free_at - now)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Of one thread of one process; a lock of the file's alone would let threads in."""
        with self._lock:
            fcntl.lockf(self.book, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self.book, fcntl.LOCK_UN)

    @property
    def _free_at(self) -> float:
        text = os.pread(self.book.fileno(), MOMENT.size, 0)
        return float(MOMENT.unpack(text)[0]) if len(text) == MOMENT.size else 0.0

    @_free_at.setter
    def _free_at(self, moment: float) -> None:
        os.pwrite(self.book.fileno(), MOMENT.pack(moment), 0)

    def pieces(self, block: bytes) -> Iterator[bytes]:
        view = memoryview(block)
        for begin in range(0, len(view), self.piece_bytes):
            yield bytes(view[begin : begin + self.piece_bytes])


@dataclass(frozen=True, slots=True)
class Cap:
    """Both ways; they do not slow each other down."""

    up: Line
    down: Line


def cap(folder: Path | None = None) -> Cap | None:
    """What the environment allows; None: everything. Raises AgentFault.

    Processes that name the same folder share it; one that names none has it for itself.
    """
    return _cap(os.environ.get(VARIABLE, ""), folder)


@cache
def _cap(text: str, folder: Path | None) -> Cap | None:
    if not text:
        return None
    try:
        allowed = float(text)
    except ValueError:
        allowed = 0.0
    if not 0 < allowed < float("inf"):
        raise AgentFault(f"{VARIABLE} is a number of bytes above 0, not {text!r}.")
    if folder is None:
        return Cap(Line(allowed), Line(allowed))
    up, down = (_opened(folder / name) for name in SHARED)
    return Cap(Line(allowed, up), Line(allowed, down))


def _opened(file: Path) -> IO[bytes]:
    return os.fdopen(os.open(file, os.O_RDWR | os.O_CREAT, 0o600), "r+b")


def pacing(folder: Path | None = None) -> Hooks:
    """Hooks for an httpx client that keep it to the cap; `folder`: see `cap`."""
    allowed = cap(folder)
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
