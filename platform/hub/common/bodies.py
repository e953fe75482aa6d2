"""Bodies of requests: how much is taken at most, and where it lies until a view asks for it.

A body is taken whole before any middleware runs, so what should never be taken must be refused one
layer further out.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from django.conf import settings
from django.http import HttpRequest

from hub.common.api.problems import Problem

if TYPE_CHECKING:
    from hashlib import _Hash

MOST_IN_MEMORY = 1 << 20  # of one body, whatever others take
MOST_TOGETHER = 32 << 20  # of all that are longer: two parts of uploads

Scope = dict[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[..., Awaitable[None]]


class Bounded:
    """Refuses bodies of more than `most` bytes: announced ones at once, others where they cross."""

    def __init__(self, application: Application, *, most: int) -> None:
        self.application = application
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
        elif _announced(scope) > self.most:
            await self._refuse(send)
        else:
            await self._counted(scope, receive, send)

    async def _counted(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without a length the end is not known: for who sends too much the body breaks off."""
        taken, is_answered = 0, False

        async def count() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            return message if taken <= self.most else {"type": "http.disconnect"}

        async def note(message: Message) -> None:
            nonlocal is_answered
            is_answered = True
            await send(message)

        await self.application(scope, count, note)
        if taken > self.most and not is_answered:
            await self._refuse(send)

    async def _refuse(self, send: Send) -> None:
        detail = f"At most {self.most} bytes."
        await refuse(send, Problem(413, "too_large", "The body is too large.", detail))


def _announced(scope: Scope) -> int:
    lengths = [value for name, value in scope["headers"] if name == b"content-length"]
    return int(lengths[0]) if lengths and lengths[0].isdigit() else 0


async def refuse(send: Send, problem: Problem) -> None:
    """Answer before the body has come whole; the rest of it is not taken."""
    response = problem.response()
    headers = [
        (b"content-type", response.headers["Content-Type"].encode()),
        (b"content-length", str(len(response.content)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.content})


@dataclass(frozen=True, slots=True)
class Continued:
    """A hash that a body goes on with: as it was found, and a copy that the body is added to."""

    found: _Hash
    running: _Hash


class Room:
    """Memory that the long bodies of this process share; who finds none left goes to disk."""

    def __init__(self, size_bytes: int) -> None:
        self.left = size_bytes
        self._lock = threading.Lock()

    def take(self, size_bytes: int) -> bool:
        with self._lock:
            has_some = size_bytes <= self.left
            self.left -= size_bytes if has_some else 0
        return has_some

    def give_back(self, size_bytes: int) -> None:
        with self._lock:
            self.left += size_bytes


room = Room(MOST_TOGETHER)


class Body:
    """A request's body, in memory or on disk, hashed while it comes in.

    A part of an upload would be written twice if it went to disk here, and the disk is what an
    upload waits for. There it has no name, so that no crash leaves it behind.
    """

    def __init__(self, continued: Continued | None = None) -> None:
        self.continued = continued
        self.sha256 = hashlib.sha256()
        self.size_bytes = 0
        self._file: BinaryIO = io.BytesIO()
        self._held_bytes = 0  # of the shared memory
        self._lock = threading.Lock()
        self._is_being_read = self._is_closed = False

    def take(self, block: bytes) -> None:
        if self.is_in_memory and not self._fits(len(block)):
            self._move_to_disk()
        self.sha256.update(block)
        self._file.write(block)
        self.size_bytes += len(block)

    def go_on(self, block: bytes) -> None:
        """Add a block to the hash that the body continues; beside `take`, in a second thread."""
        if self.continued:
            self.continued.running.update(block)

    @property
    def is_in_memory(self) -> bool:
        return isinstance(self._file, io.BytesIO)

    def read(self, size: int = -1, /) -> bytes:
        return self._file.read(size)

    def readline(self, size: int = -1, /) -> bytes:
        return self._file.readline(size)

    def rewind(self) -> None:
        self._file.seek(0)

    @contextmanager
    def being_read(self) -> Iterator[None]:
        """Meanwhile it stays open, also when its sender leaves and it is closed."""
        with self._lock:
            self._is_being_read = True
        try:
            yield
        finally:
            with self._lock:
                self._is_being_read = False
                is_left = self._is_closed
            if is_left:
                self._close()

    def close(self) -> None:
        with self._lock:
            self._is_closed = True
            is_left = not self._is_being_read
        if is_left:  # else whoever reads closes it
            self._close()

    def _close(self) -> None:
        self._give_back()
        with suppress(OSError):  # of what a full disk had no room for; it is closed all the same
            self._file.close()

    def _fits(self, more_bytes: int) -> bool:
        """Whether it may grow in memory; holds what it takes of what all share."""
        if self.size_bytes + more_bytes <= MOST_IN_MEMORY:
            return True
        has_room = room.take(more_bytes)
        self._held_bytes += more_bytes if has_room else 0
        return has_room

    def _move_to_disk(self) -> None:
        memory, self._file = self._file, _nameless_file(Path(settings.UPLOAD_FOLDER))
        memory.seek(0)
        shutil.copyfileobj(memory, self._file)
        self._give_back()

    def _give_back(self) -> None:
        room.give_back(self._held_bytes)
        self._held_bytes = 0


def _nameless_file(folder: Path) -> BinaryIO:
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return os.fdopen(os.open(folder, os.O_TMPFILE | os.O_RDWR, 0o600), "w+b")
    except OSError:  # this file system cannot
        return cast("BinaryIO", tempfile.TemporaryFile(dir=folder))


def body_of(request: HttpRequest) -> Body | None:
    """The body as the hub has received it; None if somebody else did."""
    stream = getattr(request, "_stream", None)
    return stream if isinstance(stream, Body) else None


def sha256_of_body(request: HttpRequest) -> bytes:
    """Of all that came, without reading it again where that was done on the way."""
    body = body_of(request)
    return body.sha256.digest() if body else hashlib.sha256(request.body).digest()
