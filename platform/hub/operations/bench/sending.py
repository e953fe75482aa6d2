"""The other limit of a download: a server that leaves all work to the kernel (sendfile).

python -m hub.operations.bench.sending FILE FD
"""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path


class Sender:
    """Answers any request with one file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        length = self.path.stat().st_size
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n".encode())
        await writer.drain()
        with self.path.open("rb") as file:
            await asyncio.get_running_loop().sendfile(writer.transport, file)
        writer.close()


async def main(file: str, number: str) -> None:
    listener = socket.socket(fileno=int(number))
    server = await asyncio.start_server(Sender(Path(file)), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
