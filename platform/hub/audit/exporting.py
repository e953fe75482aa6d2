"""The record as a file, of any size: read piece by piece while it is sent."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.db.models import QuerySet

from hub.common.languages import on_record
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.contributions.sheets import plain

PIECE = 1000  # rows in memory at once
COLUMNS = (
    "id",
    "at",
    "kind",
    "sentence",
    "reason",
    "actor_kind",
    "actor_id",
    "actor",
    "subject_id",
    "from_state",
    "to_state",
    "organisation_id",
    "federation_id",
    "run_id",
    "data",
)


class Format(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"

    @property
    def content_type(self) -> str:
        return {"csv": "text/csv; charset=utf-8", "jsonl": "application/jsonl"}[self.value]


@dataclass(frozen=True, slots=True)
class Export:
    """Events up to one of them, the oldest first.

    No connection is kept between two pieces, so a slow reader costs nothing.
    """

    events: QuerySet[Event]
    upto: int  # the last id that is told
    format: Format

    async def __aiter__(self) -> AsyncIterator[bytes]:
        if self.format is Format.CSV:
            yield _csv([COLUMNS])
        after = 0
        while piece := await sync_to_async(self._piece, thread_sensitive=False)(after):
            after, lines = piece
            yield lines

    def _piece(self, after: int) -> tuple[int, bytes] | None:
        try:
            return self.piece(after)
        finally:
            connection.close()

    def piece(self, after: int) -> tuple[int, bytes] | None:
        """The next rows and the id of the last of them; None: there are no more."""
        rows = list(self.events.filter(pk__gt=after, pk__lte=self.upto).order_by("pk")[:PIECE])
        return (rows[-1].pk, WRITERS[self.format](rows)) if rows else None


@on_record()
def told(event: Event) -> dict[str, Any]:
    """An event by column."""
    return {
        **{name: getattr(event, name) for name in COLUMNS if hasattr(event, name)},
        "at": event.at.isoformat(),
        "actor": event.actor_label,
        "sentence": sentence(event),
    }


def as_csv(events: Sequence[Event]) -> bytes:
    """What people wrote can be no formula of a spreadsheet."""
    rows = (told(event) for event in events)
    return _csv([[_cell(row[name]) for name in COLUMNS] for row in rows])


def _cell(value: object) -> object:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    return plain(value) if isinstance(value, str) else value


def _csv(rows: Sequence[Sequence[object]]) -> bytes:
    written = io.StringIO()
    csv.writer(written).writerows(rows)
    return written.getvalue().encode()


def as_lines(events: Sequence[Event]) -> bytes:
    lines = (json.dumps(told(event), ensure_ascii=False, default=str) for event in events)
    return "".join(f"{line}\n" for line in lines).encode()


WRITERS: Mapping[Format, Callable[[Sequence[Event]], bytes]] = {
    Format.CSV: as_csv,
    Format.JSONL: as_lines,
}
