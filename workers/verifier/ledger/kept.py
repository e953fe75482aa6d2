"""Holds an export against what somebody has kept: receipts of updates, and checkpoints seen."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from verifier.faults import Unusable, Wrong
from verifier.ledger import canon, notes
from verifier.ledger.checking import Ledger, check_roots

_LABEL = b"fl-receipt-v2\0"
_SIGNED = ("update", "statement_sha256", "received_at", "ledger_index", "entry_sha256")
_KEY_BYTES = 32


def check_receipts(ledger: Ledger, paths: list[Path], hub_key: bytes | None) -> int:
    """Raise Wrong unless each receipt's entry is there; returns how many there were.

    With the hub's key a receipt must be of the hub, too: else anybody could have written it.
    """
    found = [receipt for path in paths for receipt in _receipts(ledger, path)]
    for path, receipt in found:
        if hub_key is not None:
            _check_signed(path, receipt, hub_key)
        _check_receipt(ledger, path, receipt)
    return len(found)


def check_checkpoint(ledger: Ledger, path: Path, key: notes.Key) -> int:
    """Raise Wrong unless the ledger begins with what a checkpoint says; returns its size.

    A note, or the file that an agent keeps.
    """
    note = _text(path)
    if note.lstrip().startswith("{"):
        note = str(_member(_object(path, note), "note", path))
    where = f"the checkpoint in {path}"
    try:
        checkpoint = notes.parse_note(note)
        notes.check_signed(checkpoint, key)
    except Wrong as wrong:
        raise wrong.at(where) from wrong
    if checkpoint.size > ledger.size:
        told = f"it has seen {checkpoint.size} entries, and the export has {ledger.size}"
        raise Wrong(f"{told}: entries are gone", where)
    check_roots(ledger, {checkpoint.size: checkpoint.root}, where + ", of size {}")
    return checkpoint.size


def key_in(source: str) -> notes.Key:
    """A verifier key as it is, in a file, or in the `agent.json` of an agent. Raises Unusable."""
    text, path = source, Path(source)
    if "+" not in source or path.exists():
        text = _text(path).strip()
        if text.startswith("{"):
            text = str(_member(_object(path, text), "ledger_key", path))
    try:
        return notes.parse_key(text)
    except Wrong as wrong:
        raise Unusable(f"{source}: {wrong}") from wrong


def hub_key_in(source: str) -> bytes:
    """The hub's key in base64 as it is, in a file, or in an agent's `agent.json`.

    Raises:
        Unusable.
    """
    text, path = source, Path(source)
    if path.exists():
        text = _text(path).strip()
        if text.startswith("{"):
            text = str(_member(_object(path, text), "hub_public_key", path))
    try:
        key = notes.decoded(text)
    except Wrong as wrong:
        raise Unusable(f"{source}: {wrong}") from wrong
    if len(key) != _KEY_BYTES:
        raise Unusable(f"{source} is no Ed25519 key")
    return key


def _receipts(ledger: Ledger, path: Path) -> Iterator[tuple[Path, dict[str, Any]]]:
    """Of a file, or of all in a folder that name an entry of this ledger."""
    for file in sorted(path.glob("*.json")) if path.is_dir() else [path]:
        said = _object(file, _text(file))
        receipt = dict[str, Any](_member(said, "receipt", file))
        if receipt.get("ledger_index") is not None and said.get("ledger") == ledger.ledger:
            yield file, receipt
        elif not path.is_dir():
            raise Unusable(f"{file} names no entry of this ledger")


def _check_signed(path: Path, receipt: dict[str, Any], hub_key: bytes) -> None:
    part = {name: _member(receipt, name, path) for name in _SIGNED}
    try:
        signature = notes.decoded(str(_member(receipt, "ledger_signature", path)))
        notes.verify(hub_key, signature, _LABEL + canon.written(part).encode())
    except Wrong as wrong:
        raise wrong.at(f"the receipt in {path}") from wrong


def _check_receipt(ledger: Ledger, path: Path, receipt: dict[str, Any]) -> None:
    index, where = int(receipt["ledger_index"]), f"the receipt in {path}"
    if index >= ledger.size:
        told = f"it is for entry {index}, and the export has {ledger.size}"
        raise Wrong(f"{told}: entries are gone, or the export is older", where)
    if ledger.leaf(index).hex() != receipt["entry_sha256"]:
        raise Wrong(f"entry {index} is not the one that it promises", where)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path} cannot be read: {error}") from error


def _object(path: Path, text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Unusable(f"{path} is not JSON") from error
    if not isinstance(found, dict):
        raise Unusable(f"{path} is no JSON object")
    return found


def _member(said: dict[str, Any], name: str, path: Path) -> Any:
    if name not in said:
        raise Unusable(f"{path} has no {name}")
    return said[name]
