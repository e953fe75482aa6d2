"""`python -m hub.operations.web`: uvicorn over the hub, on a port or on a socket it is handed.

Uvicorn's own command would write its log lines beside ours, and take a handed TCP socket for a
Unix one, so that nobody's address is known.
"""

from __future__ import annotations

import os
import socket
from argparse import ArgumentParser

import uvicorn
from uvicorn.supervisors import Multiprocess

GRACE_SECONDS = 3  # open event streams would keep the old process for ever


def main() -> None:
    parser = ArgumentParser(prog="python -m hub.operations.web")
    parser.add_argument("--host", default=os.environ.get("WEB_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("WEB_PORT", "8000")))
    parser.add_argument("--fd", type=int, help="number of a listening socket, instead of a port")
    parser.add_argument("--processes", type=int, default=int(os.environ.get("WEB_PROCESSES", "1")))
    options = parser.parse_args()
    config = configuration(options.host, options.port, processes=options.processes)
    serve(config, config.bind_socket() if options.fd is None else socket.socket(fileno=options.fd))


def configuration(host: str, port: int, *, processes: int) -> uvicorn.Config:
    return uvicorn.Config(
        "hub.asgi:application",
        host=host,
        port=port,
        workers=processes,
        log_config=None,  # Django's settings say how we log
        access_log=False,
        server_header=False,
        lifespan="off",
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def serve(config: uvicorn.Config, listener: socket.socket) -> None:
    """Serve until SIGTERM or SIGINT."""
    if config.workers > 1:
        Multiprocess(config, sockets=[listener]).run()
    else:
        uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
