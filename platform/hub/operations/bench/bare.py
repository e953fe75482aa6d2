"""The limit to compare with: a server that does with the same bytes what must be done, no more.

It checks the SHA-256 that each part is announced with, writes the part, and hashes the whole. What
was sent stays, as it does with the hub: a file that takes the place of another is written into
memory and blocks that are warm already, several times faster than a new one.

python -m hub.operations.bench.bare FOLDER FD
"""

from __future__ import annotations

import hashlib
import hmac
import os
import socket
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import uvicorn

from federation.signatures import content_digest

BLOCK_BYTES = 1 << 20
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Bare:
    """PATCH appends to a file; it is flushed where /end is asked for; GET reads it, and it is kept.

    GET /given reads the file of that name, which was there before.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.count = 0
        self.given = folder / "given"
        self.begin()

    def begin(self) -> None:
        self.count += 1
        self.path = self.folder / f"bare-{self.count}"
        self.file = self.path.open("wb", buffering=0)
        self.running = hashlib.sha256()

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["path"] == "/given":
            await self.read(self.given, send)
            return
        if scope["method"] == "GET":
            await self.read(self.path, send)
            self.begin()
            return
        is_right = await self.take(dict(scope["headers"])[b"content-digest"].decode(), receive)
        if scope["path"] == "/end":
            os.fsync(self.file.fileno())
            self.running.hexdigest()
        await start(send, 204 if is_right else 422, 0)
        await send({"type": "http.response.body"})

    async def take(self, announced: str, receive: Receive) -> bool:
        """Add a part; says whether it is the one that was announced."""
        part, more = hashlib.sha256(), True
        while more:
            message = await receive()
            block = message.get("body", b"")
            part.update(block)
            self.running.update(block)
            self.file.write(block)
            more = message.get("more_body", False)
        return hmac.compare_digest(announced, content_digest(part.digest()))

    async def read(self, path: Path, send: Send) -> None:
        with path.open("rb") as file:
            await start(send, 200, os.fstat(file.fileno()).st_size)
            while block := file.read(BLOCK_BYTES):
                await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body"})


async def start(send: Send, status: int, length: int) -> None:
    headers = [(b"content-length", str(length).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})


def main(folder: str, number: str) -> None:
    config = uvicorn.Config(
        Bare(Path(folder)), log_config=None, access_log=False, lifespan="off", interface="asgi3"
    )
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(number))])


if __name__ == "__main__":
    main(*sys.argv[1:])
