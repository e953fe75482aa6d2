"""Signed notes, checkpoints and cosignatures as C2SP has them, with Ed25519.

c2sp.org/signed-note, c2sp.org/tlog-checkpoint, c2sp.org/tlog-cosignature. A checkpoint says which
root a ledger had at which size; the ledger signs its text as it is, a witness signs it together
with the time at which it had seen nothing larger. No extension lines, one signature per key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from cryptography.exceptions import InvalidSignature

from federation.keys import KEY_BYTES, BadKey, private_key, public_key, public_key_of
from federation.ledger.merkle import HASH_BYTES, LARGEST_SIZE

LEDGER_KEY = 0x01  # Ed25519 over the text of the note
WITNESS_KEY = 0x04  # Ed25519 over time and text: cosignature/v1
LONGEST_NOTE = 64 * 1024  # bytes
MOST_SIGNATURES = 256
LARGEST_TIME = 2**63 - 1  # seconds since 1970

_KEY_ID_BYTES = 4
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_NAME = re.compile(r"[^\s+\x00-\x1f]{1,255}")
_NUMBER = re.compile(r"0|[1-9][0-9]{0,15}")
_DASH = "\u2014 "


class NoteWrong(ValueError):
    """This is no note, or not one that the key has signed."""


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """By which a signature on a note is found and checked."""

    name: str
    public: bytes
    kind: int = LEDGER_KEY

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise NoteWrong(f"{self.name!r} is no name of a key")
        if len(self.public) != KEY_BYTES:
            raise NoteWrong(f"a key has {KEY_BYTES} bytes, not {len(self.public)}")

    @property
    def key_id(self) -> bytes:
        encoded = f"{self.name}\n".encode() + bytes([self.kind]) + self.public
        return hashlib.sha256(encoded).digest()[:_KEY_ID_BYTES]

    def __str__(self) -> str:
        """The verifier key: name, key id and key in one line."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.public)}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    origin: str
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """The part that is signed, with its last newline."""
        return f"{self.origin}\n{self.size}\n{_base64(self.root)}\n"


@dataclass(frozen=True, slots=True)
class Signature:
    """One line under a note; nothing is known about it until it is verified."""

    name: str
    key_id: bytes
    value: bytes

    def __str__(self) -> str:
        return f"{_DASH}{self.name} {_base64(self.key_id + self.value)}"


@dataclass(frozen=True, slots=True)
class Note:
    text: str
    signatures: tuple[Signature, ...]

    def __str__(self) -> str:
        return self.text + "\n" + "".join(f"{line}\n" for line in self.signatures)


def origin_of(host: str, federation: UUID | str) -> str:
    """The first line of a federation's checkpoints, and the name of its ledger's key."""
    return f"{host}/federations/{federation}"


def witness_name(origin: str, key_id: str) -> str:
    """The name that an agent cosigns under: a host has one for each key of an agent."""
    return f"{origin.partition('/')[0]}/witnesses/{key_id}"


def parse_verifier_key(line: str) -> VerifierKey:
    """Raises NoteWrong."""
    match line.strip().split("+", 2):
        case [name, key_id, encoded] if encoded:
            kind, public = _decoded(encoded)[:1], _decoded(encoded)[1:]
        case _:
            raise NoteWrong("a verifier key is name+id+key")
    if kind not in (bytes([LEDGER_KEY]), bytes([WITNESS_KEY])):
        raise NoteWrong(f"not a kind of key that is known here: {kind.hex()}")
    key = VerifierKey(name, public, kind[0])
    if key.key_id.hex() != key_id:
        raise NoteWrong("the id of the verifier key is not that of its name and key")
    return key


def sign_checkpoint(private: bytes, checkpoint: Checkpoint, *, name: str | None = None) -> str:
    """The checkpoint as a note with the ledger's signature, named after the origin by default."""
    key = VerifierKey(name or checkpoint.origin, public_key_of(private))
    value = private_key(private).sign(checkpoint.text.encode())
    return str(Note(checkpoint.text, (Signature(key.name, key.key_id, value),)))


def parse_note(note: str) -> Note:
    """Raises NoteWrong."""
    if len(note) > LONGEST_NOTE or not note.endswith("\n") or not _is_plain(note):
        raise NoteWrong("not a note: too long, unfinished or with control characters")
    text, blank, lines = note.rpartition("\n\n")
    if not blank or not lines or lines.count("\n") > MOST_SIGNATURES:
        raise NoteWrong("a note is a text, an empty line and signatures")
    return Note(text + "\n", tuple(parse_signature(line) for line in lines[:-1].split("\n")))


def parse_signature(line: str) -> Signature:
    """One line under a note, without its newline; raises NoteWrong."""
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not _NAME.fullmatch(name):
        raise NoteWrong(f"not a line of a signature: {line[:80]!r}")
    value = _decoded(encoded)
    if len(value) <= _KEY_ID_BYTES:
        raise NoteWrong("a signature is a key id and what it signed with")
    return Signature(name, value[:_KEY_ID_BYTES], value[_KEY_ID_BYTES:])


def parse_checkpoint(text: str) -> Checkpoint:
    """What the text of a note says; raises NoteWrong. Nobody has signed it yet."""
    match text.split("\n"):
        case [origin, number, encoded, ""] if origin and _NUMBER.fullmatch(number):
            size, root = int(number), _decoded(encoded)
        case _:
            raise NoteWrong("a checkpoint is an origin, a size and a root")
    if size > LARGEST_SIZE or len(root) != HASH_BYTES:
        raise NoteWrong("not a size and a root of a ledger")
    return Checkpoint(origin, size, root)


def verify_checkpoint(note: str, key: VerifierKey, *, origin: str) -> Checkpoint:
    """The checkpoint of this ledger that the key has signed; raises NoteWrong."""
    parsed = parse_note(note)
    found = _signature_of(parsed, key)
    _verify(key.public, found.value, parsed.text.encode())
    checkpoint = parse_checkpoint(parsed.text)
    if checkpoint.origin != origin:
        raise NoteWrong(f"a checkpoint of {checkpoint.origin}, not of {origin}")
    return checkpoint


def cosign(private: bytes, checkpoint: Checkpoint, *, name: str, at: datetime) -> str:
    """The line by which a witness says that at this time it knew nothing larger."""
    seconds = int(at.timestamp())
    key = VerifierKey(name, public_key_of(private), WITNESS_KEY)
    value = private_key(private).sign(_witnessed(checkpoint, seconds))
    return str(Signature(name, key.key_id, seconds.to_bytes(_TIME_BYTES) + value))


def verify_cosignature(line: str, checkpoint: Checkpoint, *, name: str, public: bytes) -> datetime:
    """When the witness of this name and key cosigned the checkpoint; raises NoteWrong."""
    signature, key = parse_signature(line), VerifierKey(name, public, WITNESS_KEY)
    if (signature.name, signature.key_id) != (key.name, key.key_id):
        raise NoteWrong(f"a cosignature of {signature.name}, not of {name}")
    seconds = int.from_bytes(signature.value[:_TIME_BYTES])
    _verify(public, signature.value[_TIME_BYTES:], _witnessed(checkpoint, seconds))
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise NoteWrong(f"{seconds} is no time") from error


def _witnessed(checkpoint: Checkpoint, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{checkpoint.text}".encode()


def _signature_of(note: Note, key: VerifierKey) -> Signature:
    ours = (key.name, key.key_id)
    found = [one for one in note.signatures if (one.name, one.key_id) == ours]
    if len(found) != 1:
        raise NoteWrong(f"{len(found)} signatures by {key.name} instead of one")
    return found[0]


def _verify(public: bytes, signature: bytes, message: bytes) -> None:
    if len(signature) != _SIGNATURE_BYTES:
        raise NoteWrong("not the length of a signature")
    try:
        public_key(public).verify(signature, message)
    except (InvalidSignature, BadKey) as error:
        raise NoteWrong("not signed with this key") from error


def _is_plain(text: str) -> bool:
    return not any(character < " " and character != "\n" for character in text)


def _base64(value: bytes) -> str:
    return base64.b64encode(value).decode("ascii")


def _decoded(text: str) -> bytes:
    """Base64 in its one form; raises NoteWrong."""
    try:
        value = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise NoteWrong(f"not base64: {text[:80]!r}") from error
    if _base64(value) != text:
        raise NoteWrong(f"not the one form of base64: {text[:80]!r}")
    return value
