"""A whole ledger as lines of JSON, for `foedus-verify ledger`, read as it is sent."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from uuid import UUID

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection

from hub.ledger.models import Checkpoint
from hub.ledger.selectors import checkpoints_of, entries_of, size_of

PIECE = 250  # rows in memory at once


class Export:
    """The entries up to now, the checkpoints over them, and the key they are signed with.

    No connection is kept between two pieces, so a slow reader costs nothing.
    """

    def __init__(self, ledger: UUID) -> None:
        self.ledger = ledger
        self.size = size_of(ledger)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for begin in range(0, self.size, PIECE):
            end = min(begin + PIECE, self.size)
            yield await sync_to_async(self._entries, thread_sensitive=False)(begin, end)
        after = 0
        while piece := await sync_to_async(self._checkpoints, thread_sensitive=False)(after):
            after, lines = piece
            yield lines
        if settings.LEDGER_VERIFIER_KEY:
            yield _line(ledger_key=settings.LEDGER_VERIFIER_KEY)

    def _entries(self, begin: int, end: int) -> bytes:
        try:
            found = entries_of(self.ledger).filter(position__gte=begin, position__lt=end)
            rows = found.values_list("text", "leaf")
            return "".join(_entry(text, leaf) for text, leaf in rows).encode()
        finally:
            connection.close()

    def _checkpoints(self, after: int) -> tuple[int, bytes] | None:
        try:
            found = checkpoints_of(self.ledger).filter(size__gt=after, size__lte=self.size)
            rows = list(found.prefetch_related("cosignatures")[:PIECE])
            return (rows[-1].size, b"".join(_checkpoints(rows))) if rows else None
        finally:
            connection.close()


def _entry(text: str | None, leaf: bytes | memoryview | None) -> str:
    return f'{{"entry":{text},"leaf":"{bytes(leaf or b"").hex()}"}}\n'


def _checkpoints(rows: list[Checkpoint]) -> Iterator[bytes]:
    for row in rows:
        yield _line(checkpoint=cosigned(row))


def cosigned(row: Checkpoint) -> str:
    """The note with a line for each who has cosigned it."""
    return row.note + "".join(f"{one.line}\n" for one in row.cosignatures.all())


def _line(**member: str) -> bytes:
    return json.dumps(member, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
