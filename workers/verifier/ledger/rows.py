"""The rows of an export: what stands in one of them, by itself.

An entry with its leaf hash, a checkpoint, or the ledger's key; one JSON object for each line.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
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
_MEMBERS = ["index", "key", "ledger", "payload", "prev", "time", "type"]  # as they are written
_KINDS = [int, str, str, dict, str, str, str]


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


def pieces(file: IO[bytes], size: int) -> Iterator[bytes]:
    """Whole rows, of about so many bytes together. Raises Unusable."""
    while some := file.read(size):
        if not some.endswith(b"\n"):
            some += file.readline(LONGEST_ROW)
        if not some.endswith(b"\n"):
            raise Unusable("the export ends in the middle of a row: fetch it again")
        yield some


def lines_in(some: bytes) -> list[bytes]:
    return BytesIO(some).readlines()


def entries_in(some: bytes) -> int:
    """How many of the rows are entries."""
    return some.count(b"\n" + ENTRY) + some.startswith(ENTRY)


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
    if list(said) == _MEMBERS and list(map(type, said.values())) == _KINDS:
        index, key, ledger, payload, before, time, kind = said.values()
        prev = _hash(before)
        if prev and 0 <= index <= LARGEST_INDEX:
            return Entry(index, key, ledger, payload, prev, time, kind, leaf)
    raise Wrong("it has not what an entry has")


def _hash(text: str) -> bytes:
    """Empty: it is none."""
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return b""
    return found if len(text) == _HEX and found.hex() == text else b""


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
