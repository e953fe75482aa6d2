"""The hub behind a real server, for clients that are not ours. Needs real commits."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from django.db import connections


@dataclass
class LiveHub:
    """`url`, and all requests that came: (method, path, status).

    The next response that has sent `cut_after` bytes is cut off there, once.
    """

    url: str = ""
    requests: list[tuple[str, str, int]] = field(default_factory=list)
    cut_after: float = float("inf")

    def statuses(self, method: str, path: str) -> list[int]:
        """Of all requests whose path ends so."""
        return [s for m, p, s in self.requests if m == method and p.endswith(path)]

    def noting(self, application: Any) -> Any:
        async def noted(scope: Any, receive: Any, send: Any) -> None:
            line = _Line(self, scope, receive, send)
            await application(scope, line.receive, line.send)

        return noted


class _Line:
    """One request's way to the application and back; notes it, and may be cut."""

    def __init__(self, hub: LiveHub, scope: Any, receive: Any, send: Any) -> None:
        self.hub, self.scope = hub, scope
        self._receive, self._send = receive, send
        self._sent = 0
        self._cut = asyncio.Event()

    async def receive(self) -> Any:
        message = asyncio.ensure_future(self._receive())
        cut = asyncio.ensure_future(self._cut.wait())
        try:
            done, _ = await asyncio.wait({message, cut}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            cut.cancel()
            message.cancel()
        return message.result() if message in done else {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            line = (self.scope["method"], self.scope["path"], message["status"])
            self.hub.requests.append(line)
        if self._cut.is_set():
            return
        await self._send(message)
        self._sent += len(message.get("body", b""))
        if self._sent > self.hub.cut_after:
            self.hub.cut_after = float("inf")
            self._cut.set()


@contextmanager
def live_hub() -> Iterator[LiveHub]:
    """Serve our application in a thread, on a port that the system picks."""
    from hub.asgi import application

    hub = LiveHub()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(
            hub.noting(application), lifespan="off", log_config=None, timeout_graceful_shutdown=1
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_for(lambda: server.started)
            hub.url = "http://{}:{}".format(*listener.getsockname())
            yield hub
        finally:
            server.should_exit = True
            thread.join()
            connections["default"].close_pool()


def wait_for(condition, *, seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)
