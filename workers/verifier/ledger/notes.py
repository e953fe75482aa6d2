"""Checkpoints and cosignatures: C2SP signed-note, tlog-checkpoint and tlog-cosignature."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from verifier.faults import Wrong

LEDGER_KEY, WITNESS_KEY = 1, 4
_DASH = "\u2014 "
_SIZE = re.compile(r"0|[1-9][0-9]{0,15}")
_KEY_BYTES, _HASH_BYTES, _ID_BYTES, _TIME_BYTES = 32, 32, 4, 8


@dataclass(frozen=True, slots=True)
class Key:
    """A verifier key: name, kind and 32 bytes."""

    name: str
    kind: int
    public: bytes

    @property
    def id(self) -> bytes:
        encoded = f"{self.name}\n".encode() + bytes([self.kind]) + self.public
        return hashlib.sha256(encoded).digest()[:_ID_BYTES]


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A note as it is read: what it says, and by whom it claims to be signed."""

    text: str
    origin: str
    size: int
    root: bytes
    signatures: tuple[tuple[str, bytes, bytes], ...]  # name, key id, signature


def parse_key(line: str) -> Key:
    """Raises Wrong."""
    name, _, rest = line.partition("+")
    named, _, encoded = rest.partition("+")
    raw = decoded(encoded)
    key = Key(name, raw[0] if raw else 0, raw[1:])
    if not name or key.kind != LEDGER_KEY or len(key.public) != _KEY_BYTES:
        raise Wrong("it is no verifier key of a ledger")
    if key.id.hex() != named:
        raise Wrong("the verifier key's id is not that of its name and key")
    return key


def parse_note(note: str) -> Checkpoint:
    """Raises Wrong."""
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines.endswith("\n"):
        raise Wrong("it is no note with signatures")
    match text.split("\n"):
        case [origin, size, root] if origin and _SIZE.fullmatch(size):
            pass
        case _:
            raise Wrong("it is not an origin, a size and a root")
    if len(decoded(root)) != _HASH_BYTES:
        raise Wrong("its root is no hash")
    signatures = tuple(_signature(line) for line in lines[:-1].split("\n"))
    return Checkpoint(f"{text}\n", origin, int(size), decoded(root), signatures)


def check_signed(checkpoint: Checkpoint, key: Key) -> None:
    """Raise Wrong unless the ledger's key has signed it."""
    found = [raw for name, id_, raw in checkpoint.signatures if (name, id_) == (key.name, key.id)]
    if len(found) != 1:
        raise Wrong(f"it is not signed by {key.name}")
    verify(key.public, found[0], checkpoint.text.encode())


def check_cosigned(checkpoint: Checkpoint, name: str, raw: bytes, public: bytes) -> int:
    """When the witness cosigned, in seconds since 1970. Raises Wrong."""
    seconds = int.from_bytes(raw[:_TIME_BYTES], "big")
    message = f"cosignature/v1\ntime {seconds}\n{checkpoint.text}".encode()
    try:
        verify(public, raw[_TIME_BYTES:], message)
    except Wrong as wrong:
        raise Wrong(f"the cosignature of {name} is wrong") from wrong
    return seconds


def verify(public: bytes, signature: bytes, message: bytes) -> None:
    """Raise Wrong unless the key has signed the message."""
    try:
        _read(public).verify(signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Wrong("its signature is wrong") from error


@lru_cache(maxsize=1024)
def _read(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


def decoded(text: str) -> bytes:
    """Base64 in its one form. Raises Wrong."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Wrong(f"{text[:40]!r} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise Wrong(f"{text[:40]!r} is not the one form of base64")
    return raw


def _signature(line: str) -> tuple[str, bytes, bytes]:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    raw = decoded(encoded)
    if not line.startswith(_DASH) or not name or len(raw) <= _ID_BYTES:
        raise Wrong("a line under it is no signature")
    return name, raw[:_ID_BYTES], raw[_ID_BYTES:]
