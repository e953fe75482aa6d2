from __future__ import annotations

import http.client
import socket
import time
import urllib.error
import urllib.request
from http import HTTPStatus

from hub.embedded.errors import Unavailable

LOOPBACK = "127.0.0.1"


def listen(preferred: int) -> socket.socket:
    """Return a listening loopback socket, on the preferred port or, if that is taken, another.

    Hand it to `Supervisor.start(sockets=…)` and its number to the program (`uvicorn --fd`): then
    nobody can take the port in between, and callers wait instead of failing while the program is
    restarted.
    """
    for port in (preferred, 0):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((LOOPBACK, port))
            listener.listen(128)
        except OSError:
            listener.close()
        else:
            return listener
    raise Unavailable("No free port on this machine's loopback interface.")


def free_port(preferred: int) -> int:
    """Return the preferred port, or a free one if it is taken (by now; `listen` also keeps it)."""
    with listen(preferred) as listener:
        return port_of(listener)


def port_of(listener: socket.socket) -> int:
    return int(listener.getsockname()[1])


def wait_for_url(url: str, *, seconds: float = 60) -> None:
    """Return when a URL answers with anything but a server error."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    deadline = time.monotonic() + seconds
    while not _answers(opener, url):
        if time.monotonic() > deadline:
            raise Unavailable(f"{url} did not answer within {seconds:g} s.")
        time.sleep(0.05)


def _answers(opener: urllib.request.OpenerDirector, url: str) -> bool:
    try:
        with opener.open(url, timeout=5):
            return True
    except urllib.error.HTTPError as refusal:
        with refusal:
            return refusal.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, http.client.HTTPException):
        return False
