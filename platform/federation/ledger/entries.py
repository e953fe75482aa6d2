"""An entry of a ledger as everybody hashes it: one line of canonical JSON (RFC 8785)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import rfc8785

from federation.ledger import merkle

NO_ENTRY = bytes(merkle.HASH_BYTES)  # what the first entry has before it
LARGEST_ENTRY = 4 * 1024 * 1024  # bytes

_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
_HASH = re.compile(r"[0-9a-f]{64}")


class EntryWrong(ValueError):
    """These bytes are not an entry in its one form."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    index: int
    ledger: UUID
    type: str
    key: str  # names the act: one entry for each
    payload: dict[str, Any]
    prev: bytes  # leaf hash of the entry before, NO_ENTRY for the first
    time: str  # RFC 3339, UTC, six digits of a second

    @property
    def text(self) -> str:
        """Raises EntryWrong for a payload that has no canonical form."""
        said = {
            "index": self.index,
            "key": self.key,
            "ledger": str(self.ledger),
            "payload": self.payload,
            "prev": self.prev.hex(),
            "time": self.time,
            "type": self.type,
        }
        return canonical(said)

    @property
    def leaf(self) -> bytes:
        return leaf_of(self.text)


def canonical(document: object) -> str:
    """RFC 8785; raises EntryWrong for what has no such form (NaN, numbers beyond 2^53)."""
    try:
        return rfc8785.dumps(document).decode()  # type: ignore[arg-type]
    except (rfc8785.CanonicalizationError, UnicodeError) as error:
        raise EntryWrong(f"no canonical JSON: {error}") from error


def leaf_of(text: str) -> bytes:
    """The leaf hash of an entry's text."""
    return merkle.leaf_hash(text.encode())


def time_of(at: datetime) -> str:
    """An aware time as entries have it."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_entry(text: str) -> Entry:
    """Read an entry's text; raises EntryWrong unless it is exactly as an entry writes itself."""
    try:
        said = json.loads(text, parse_int=_number)
    except (ValueError, RecursionError) as error:
        raise EntryWrong("not JSON") from error
    entry = _read(said)
    if entry.text != text:
        raise EntryWrong("not in canonical form")
    return entry


def _number(digits: str) -> int | float:
    """From 2^53 on it is a float that was written: RFC 8785 writes whole ones without a point."""
    number = float(digits)
    return int(digits) if abs(number) <= merkle.LARGEST_SIZE else number


def _read(said: object) -> Entry:
    match said:
        case {
            "index": int(index),
            "key": str(key),
            "ledger": str(ledger),
            "payload": dict(payload),
            "prev": str(prev),
            "time": str(time),
            "type": str(kind),
            **more,
        } if not more and _HASH.fullmatch(prev) and _TIME.fullmatch(time):
            return Entry(
                index=index,
                ledger=_uuid(ledger),
                type=kind,
                key=key,
                payload=payload,
                prev=bytes.fromhex(prev),
                time=time,
            )
    raise EntryWrong("an entry has index, key, ledger, payload, prev, time and type")


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError as error:
        raise EntryWrong(f"{text[:80]!r} names no ledger") from error
