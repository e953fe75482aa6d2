"""The rows of an export: what stands in one of them, by itself.

An entry with its leaf hash, a checkpoint, or the ledger's key; one JSON object for each line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from verifier.faults import Unusable, Wrong
from verifier.ledger.canon import document
from verifier.ledger.keys import MARK
from verifier.ledger.notes import Key, parse_key
from verifier.ledger.trees import leaf_hash

LONGEST_ROW = 16 * 1024 * 1024  # bytes
LARGEST_INDEX = 2**53

ENTRY, CHECKPOINT, KEY = b'{"entry":', b'{"checkpoint":', b'{"ledger_key":'
_LEAF, _END = b',"leaf":"', b'"}\n'
_HEX = 64
_TAIL = len(_LEAF) + _HEX + len(_END)
_MARK_WITHIN = 200  # bytes from the end
_MEMBERS = {"index", "key", "ledger", "payload", "prev", "time", "type"}


@dataclass(slots=True)
class Entry:
    index: int
    key: str
    ledger: str
    payload: dict[str, Any]
    prev: bytes
    time: str
    type: str
    leaf: bytes


def lines(file: IO[bytes]) -> Iterator[bytes]:
    """Row by row. Raises Unusable."""
    while line := file.readline(LONGEST_ROW):
        if not line.endswith(b"\n"):
            raise Unusable("the export ends in the middle of a row: fetch it again")
        yield line


def opened(path: Path) -> IO[bytes]:
    """Raises Unusable."""
    try:
        return path.open("rb", buffering=1 << 20)
    except OSError as absent:
        raise Unusable(f"{path} cannot be read: {absent.strerror}") from absent


def entry_of(line: bytes) -> Entry:
    """Raises Wrong."""
    if not line.startswith(ENTRY) or line[-_TAIL : -_TAIL + len(_LEAF)] != _LEAF:
        raise Wrong("it is no row of an entry")
    text = line[len(ENTRY) : -_TAIL]
    leaf = leaf_hash(text)
    if line[-_TAIL + len(_LEAF) :] != leaf.hex().encode() + _END:
        raise Wrong("its hash is another: it was changed")
    try:
        said = document(text.decode())
    except UnicodeDecodeError as error:
        raise Wrong("it is not UTF-8") from error
    return _entry(said, leaf)


def _entry(said: dict[str, Any], leaf: bytes) -> Entry:
    match said:
        case {
            "index": int(index),
            "key": str(key),
            "ledger": str(ledger),
            "payload": dict(payload),
            "prev": str(prev),
            "time": str(time),
            "type": str(kind),
        } if said.keys() == _MEMBERS and 0 <= index <= LARGEST_INDEX and _is_hash(prev):
            return Entry(index, key, ledger, payload, bytes.fromhex(prev), time, kind, leaf)
    raise Wrong("it has not what an entry has")


def _is_hash(text: str) -> bool:
    try:
        return len(text) == _HEX and bytes.fromhex(text).hex() == text
    except ValueError:
        return False


def note_of(line: bytes) -> str:
    """What a row has of a checkpoint. Raises Wrong."""
    return _member(line, "checkpoint")


def key_of(line: bytes) -> Key:
    """Raises Wrong."""
    return parse_key(_member(line, "ledger_key"))


def _member(line: bytes, name: str) -> str:
    try:
        text = line[:-1].decode()
        said = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Wrong("it is not JSON") from error
    match said:
        case {**members} if members.keys() == {name} and isinstance(members[name], str):
            pass
        case _:
            raise Wrong(f"it is no row of a {name}")
    if json.dumps(said, ensure_ascii=False, separators=(",", ":")) != text:
        raise Wrong("it is not written as it should be")
    return str(said[name])


def tells_of_a_key(line: bytes) -> bool:
    return line.startswith(ENTRY) and MARK in line[-_MARK_WITHIN:]
