"""The line between an agent and its hub, in the hand of a test: counted, held, and cut.

Where the machine lets us, the agent has a network of its own at the end of a cable that is pulled
out: nobody is told, packets just vanish. Everywhere, a proxy passes bytes on and breaks off.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import threading
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import count
from typing import Any, Protocol
from urllib.parse import urlsplit

from tests.system.processes import wait_until

BLOCK = 64 << 10
PATIENCE_SECONDS = 240.0  # until an agent has trained, and sends
_numbers = count(os.getpid() % 60 * 4, 240)


class Line(Protocol):
    """`host`: where the hub must listen. `prefix`: begins command lines of the agent."""

    host: str
    prefix: Sequence[str]

    def lead_to(self, url: str) -> str:
        """Let the line end at a hub; returns the hub's address at the other end."""

    @property
    def up(self) -> int:
        """Bytes that have come from the agent so far."""

    def cut(self, *, at: int = 0) -> None:
        """Cut the line, once `at` bytes more have come from the agent; returns when it is cut."""

    def heal(self) -> None: ...


class Proxy:
    """A line through a port of ours, byte for byte. Cut, it resets what it carries."""

    host = "127.0.0.1"
    prefix: Sequence[str] = ()

    def __init__(self) -> None:
        self.up = self.down = 0
        self.stopped = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._listener = self._listening(0)
        self._port = self._listener.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._stop_at: tuple[int, bool] | None = None  # how many bytes up, and whether to cut
        self._flows: asyncio.Event

    def lead_to(self, url: str) -> str:
        self._hub = (urlsplit(url).hostname, urlsplit(url).port)
        self._thread.start()
        self._do(self._open())
        return f"http://127.0.0.1:{self._port}"

    def cut(self, *, at: int = 0) -> None:
        self._stop(at, is_cut=True)

    def hold(self, *, at: int = 0) -> None:
        """Pass nothing on any more, once `at` bytes more have come up; `release` lets it flow."""
        self._stop(at, is_cut=False)

    def release(self) -> None:
        self._loop.call_soon_threadsafe(self._flows.set)

    def heal(self) -> None:
        self._listener = self._listening(self._port)
        self._do(self._open())

    def close(self) -> None:
        self._do(self._break())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _stop(self, at: int, *, is_cut: bool) -> None:
        self.stopped.clear()
        if at:
            self._stop_at = (self.up + at, is_cut)
            assert self.stopped.wait(PATIENCE_SECONDS), "not so many bytes came"
        else:
            self._do(self._stopping(is_cut=is_cut))

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    @staticmethod
    def _listening(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What waits here when the line is cut was sent, but is not counted: let it be little.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BLOCK)
        listener.bind(("127.0.0.1", port))
        return listener

    async def _open(self) -> None:
        self._flows = asyncio.Event()
        self._flows.set()
        self._server = await asyncio.start_server(self._carry, sock=self._listener, limit=BLOCK)

    async def _stopping(self, *, is_cut: bool) -> None:
        self._stop_at = None
        self._flows.clear()
        if is_cut:
            await self._break()
        self.stopped.set()

    async def _break(self) -> None:
        if self._server:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        self._flows.set()

    async def _carry(self, up: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
        try:
            down, forth = await asyncio.open_connection(*self._hub, limit=BLOCK)
        except OSError:
            back.transport.abort()
            return
        pair = {back, forth}
        self._writers |= pair
        try:
            await asyncio.gather(self._upward(up, forth), self._downward(down, back))
        finally:
            self._writers -= pair
            for writer in pair:
                writer.transport.abort()

    async def _upward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        async for block in _blocks(source):
            self.up += len(block)
            if self._stop_at and self.up >= self._stop_at[0]:
                await self._stopping(is_cut=self._stop_at[1])
            await self._flows.wait()
            await _passed(block, target)
        target.close()

    async def _downward(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        async for block in _blocks(source):
            self.down += len(block)
            await _passed(block, target)
        target.close()


async def _blocks(source: asyncio.StreamReader):
    with suppress(OSError):
        while block := await source.read(BLOCK):
            yield block


async def _passed(block: bytes, target: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        target.write(block)
        await target.drain()


class Cable:
    """A line into a network namespace. Cut, nothing comes through and nobody is told."""

    def __init__(self, number: int) -> None:
        self.name = f"foedus{os.getpid()}n{number}"
        self._near, self._far = f"fd{number}n", f"fd{number}f"
        # TEST-NET-1 of RFC 5737: nobody's addresses.
        self.host, self._there = f"192.0.2.{number % 240 + 1}", f"192.0.2.{number % 240 + 2}"
        self.prefix = ("ip", "netns", "exec", self.name)

    def lay(self) -> None:
        """Raises CalledProcessError, OSError where this machine does not let us."""
        _ip("netns", "add", self.name)
        _ip("link", "add", self._near, "type", "veth", "peer", "name", self._far)
        _ip("link", "set", self._far, "netns", self.name)
        _ip("address", "add", f"{self.host}/30", "dev", self._near)
        _ip("-n", self.name, "address", "add", f"{self._there}/30", "dev", self._far)
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", self._far, "up")
        self.heal()

    def lead_to(self, url: str) -> str:
        return url

    @property
    def up(self) -> int:
        """With the headers of packets, and what was sent again because nobody confirmed it."""
        with open(f"/sys/class/net/{self._near}/statistics/rx_bytes") as file:  # noqa: PTH123
            return int(file.read())

    def cut(self, *, at: int = 0) -> None:
        goal = self.up + at
        wait_until(
            lambda: self.up >= goal, seconds=PATIENCE_SECONDS, every=0.005, what="few bytes came"
        )
        _ip("link", "set", self._near, "down")

    def heal(self) -> None:
        _ip("link", "set", self._near, "up")

    def close(self) -> None:
        for words in (("link", "del", self._near), ("netns", "del", self.name)):
            with suppress(OSError, subprocess.CalledProcessError):
                _ip(*words)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, timeout=10)


@contextmanager
def proxy() -> Iterator[Proxy]:
    line = Proxy()
    try:
        yield line
    finally:
        line.close()


@contextmanager
def cable() -> Iterator[Cable]:
    line = Cable(next(_numbers))
    try:
        line.lay()
        yield line
    finally:
        line.close()


def allows_cables() -> bool:
    """Whether this machine lets us lay one: it needs `ip`, and rights that few have."""
    try:
        with cable():
            return True
    except (OSError, subprocess.SubprocessError):
        return False
