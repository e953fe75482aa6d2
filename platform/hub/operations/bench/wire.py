"""The lightest agent that speaks the protocol: HTTP/1.1 on one connection, every request signed."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from federation.keys import generate_private_key, key_id, public_key_of
from federation.protocol import PROTOCOL_HEADER, PROTOCOL_VERSION
from federation.signatures import content_digest, new_nonce, sign_request

BUFFER_BYTES = 4 << 20
PART = "application/offset+octet-stream"


class Surprise(Exception):
    """The hub answered something that a measurement cannot go on with."""


@dataclass(slots=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(slots=True)
class Wire:
    """One agent's connection. Without a key, bodies are announced with their digest only."""

    url: str
    key: bytes | None = field(default_factory=generate_private_key)
    _streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    @property
    def key_id(self) -> str:
        assert self.key
        return key_id(public_key_of(self.key))

    async def post(self, path: str, message: object, *, key: str = "", expect: int = 0) -> Answer:
        headers = {"Content-Type": "application/json", "Idempotency-Key": key or new_nonce()}
        body = json.dumps(message).encode()
        return _expected(await self.send("POST", path, body, headers), expect)

    async def upload(self, path: str, content: memoryview, chunk_bytes: int) -> None:
        """Send all bytes in parts, as an agent does."""
        for offset in range(0, len(content), chunk_bytes):
            part = bytes(content[offset : offset + chunk_bytes])
            place = {"Content-Type": PART, "Upload-Offset": str(offset), "Tus-Resumable": "1.0.0"}
            _expected(await self.send("PATCH", path, part, place), 204)

    async def download(self, path: str) -> str:
        """Fetch all bytes and return their SHA-256."""
        digest = hashlib.sha256()
        _expected(await self.send("GET", path, take=digest.update), 200)
        return digest.hexdigest()

    async def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        *,
        take: Callable[[bytes], object] | None = None,
    ) -> Answer:
        """Send one request; `take` gets the answer's body in pieces, instead of the answer."""
        reader, writer = await self._connected()
        writer.write(self._head(method, path, body, dict(headers or {})))
        writer.write(body)
        await writer.drain()
        status, given = _parsed(await reader.readuntil(b"\r\n\r\n"))
        length = int(given.get("content-length", "0"))
        if take is None or status >= 400:  # noqa: PLR2004 (the first of the errors)
            return Answer(status, given, await reader.readexactly(length))
        while length:
            piece = await reader.read(min(length, BUFFER_BYTES))
            length -= len(piece)
            take(piece)
        return Answer(status, given, b"")

    def close(self) -> None:
        if self._streams:
            self._streams[1].close()
            self._streams = None

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._streams is None:
            parts = urlsplit(self.url)
            self._streams = await asyncio.open_connection(
                parts.hostname, parts.port, limit=BUFFER_BYTES
            )
        return self._streams

    def _head(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        if self.key:
            sign_request(
                private_key=self.key,
                key_id=self.key_id,
                method=method,
                url=self.url + path,
                headers=headers,
                body=body,
                now=datetime.now(UTC),
                nonce=new_nonce(),
            )
        else:
            headers["Content-Digest"] = content_digest(hashlib.sha256(body).digest())
        headers |= {"Host": urlsplit(self.url).netloc, "Content-Length": str(len(body))}
        headers[PROTOCOL_HEADER] = PROTOCOL_VERSION
        lines = [f"{method} {path} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _parsed(head: bytes) -> tuple[int, dict[str, str]]:
    first, *lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return int(first.split()[1]), {name.lower(): value.strip() for name, _, value in pairs}


def _expected(answer: Answer, status: int) -> Answer:
    if status and answer.status != status:
        raise Surprise(f"{answer.status}: {answer.body[:500].decode(errors='replace')}")
    return answer
