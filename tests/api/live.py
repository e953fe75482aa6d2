"""The hub behind a real server, for clients that are not ours. Needs real commits."""

from __future__ import annotations

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
    """`url`, and all requests that came: (method, path, status)."""

    url: str = ""
    requests: list[tuple[str, str, int]] = field(default_factory=list)

    def statuses(self, method: str, path: str) -> list[int]:
        """Of all requests whose path ends so."""
        return [s for m, p, s in self.requests if m == method and p.endswith(path)]

    def noting(self, application: Any) -> Any:
        async def noted(scope: Any, receive: Any, send: Any) -> None:
            async def note(message: Any) -> None:
                if message["type"] == "http.response.start":
                    self.requests.append((scope["method"], scope["path"], message["status"]))
                await send(message)

            await application(scope, receive, note)

        return noted


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
