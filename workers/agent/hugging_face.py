"""The Hugging Face client kept to the agent's cap; its HTTP library is another than ours."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import set_client_factory
from huggingface_hub.utils._http import default_client_factory

from agent.bandwidth import Line, cap


def keep_to_cap(folder: Path) -> None:
    """Have what it downloads from now on in this process pass at the agent's pace.

    `folder`: see `agent.bandwidth.cap`.
    """
    allowed = cap(folder)
    if allowed is None:
        return

    def slow(response: httpx2.Response) -> None:
        response.stream = _Slow(response.stream, allowed.down)

    def client() -> httpx2.Client:
        made: httpx2.Client = default_client_factory()
        made.event_hooks = {**made.event_hooks, "response": [slow]}
        return made

    set_client_factory(client)


class _Slow(httpx2.SyncByteStream):
    def __init__(self, stream: Any, line: Line) -> None:
        self._stream, self._line = stream, line

    def __iter__(self) -> Iterator[bytes]:
        for block in self._stream:
            for piece in self._line.pieces(block):
                time.sleep(self._line.booked(len(piece)))
                yield piece

    def close(self) -> None:
        self._stream.close()
