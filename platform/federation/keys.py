"""Ed25519 keys as 32 raw bytes: making, naming and checking them, and signing bytes with them.

Nothing here imports torch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_BYTES = 32

# The curve of RFC 8032, section 5.1: -x² + y² = 1 + d·x²·y² over the integers modulo p.
_P = 2**255 - 19
_D = -121665 * pow(121666, -1, _P) % _P
_NEUTRAL = (0, 1)

_Point = tuple[int, int]


class BadKey(ValueError):
    """These bytes are not the public key of anybody."""


class BadSignature(ValueError):
    """The bytes were not signed with this key."""


def generate_private_key() -> bytes:
    """A new private key from the system's source of randomness."""
    return Ed25519PrivateKey.generate().private_bytes_raw()


def public_key_of(private: bytes) -> bytes:
    return private_key(private).public_key().public_bytes_raw()


def key_id(public: bytes) -> str:
    """The key's name everywhere: SHA-256 of its 32 bytes in lower-case hex."""
    return hashlib.sha256(public).hexdigest()


def check_public_key(raw: bytes) -> None:
    """Raise BadKey unless the bytes are the one encoding of a point that can be a public key.

    Libraries accept points of small order (those that 8 times themselves are the neutral point).
    For such a "key" anybody can make a signature that verifies for some or all messages. There are
    eight of them, with fourteen encodings in all, six of them not canonical: y of p or above, or a
    sign for x = 0. We refuse by decoding the point (RFC 8032, 5.1.3) and doubling it three times;
    the input is public, so nothing here needs to take constant time.
    """
    point = _decoded(raw)
    for _ in range(3):
        point = _doubled(point)
    if point == _NEUTRAL:
        raise BadKey("a point of small order")


def _decoded(raw: bytes) -> _Point:
    if len(raw) != KEY_BYTES:
        raise BadKey(f"{len(raw)} bytes instead of {KEY_BYTES}")
    number = int.from_bytes(raw, "little")
    sign, y = number >> 255, number & (2**255 - 1)
    if y >= _P:
        raise BadKey("not a canonical encoding")
    x = _root((y * y - 1) * pow(_D * y * y + 1, -1, _P) % _P)
    if x == 0 and sign:
        raise BadKey("not a canonical encoding")
    return (x if x & 1 == sign else _P - x), y


def _root(square: int) -> int:
    """A square root modulo p; p is 5 modulo 8, so one of two candidates is it."""
    root = pow(square, (_P + 3) // 8, _P)
    if root * root % _P != square:
        root = root * pow(2, (_P - 1) // 4, _P) % _P
    if root * root % _P != square:
        raise BadKey("not a point of the curve")
    return root


def _doubled(point: _Point) -> _Point:
    """The affine addition law of the curve for equal points; its denominators are never zero."""
    x, y = point
    product = _D * x * x * y * y
    doubled_x = 2 * x * y * pow(1 + product, -1, _P) % _P
    doubled_y = (y * y + x * x) * pow(1 - product, -1, _P) % _P
    return doubled_x, doubled_y


@lru_cache(maxsize=64)
def private_key(private: bytes) -> Ed25519PrivateKey:
    """The key as the library holds it; kept, because parsing costs as much as signing."""
    return Ed25519PrivateKey.from_private_bytes(private)


@lru_cache(maxsize=16_384)
def public_key(public: bytes) -> Ed25519PublicKey:
    """The key as the library holds it, checked once and kept; raises BadKey."""
    check_public_key(public)
    return Ed25519PublicKey.from_public_bytes(public)


def sign_bytes(private: bytes, label: str, payload: bytes) -> str:
    """Sign `label`, a zero byte and `payload`; returns base64.

    The label says what is signed, so that a signature cannot serve for something else.
    """
    signature = private_key(private).sign(_labelled(label, payload))
    return base64.b64encode(signature).decode("ascii")


def verify_bytes(public: bytes, label: str, payload: bytes, signature: str) -> None:
    """Raise BadSignature unless `sign_bytes` made this signature, or BadKey."""
    key = public_key(public)
    try:
        key.verify(base64.b64decode(signature, validate=True), _labelled(label, payload))
    except (InvalidSignature, binascii.Error, ValueError) as error:
        raise BadSignature(f"not a signature over {label!r} by {key_id(public)}") from error


def _labelled(label: str, payload: bytes) -> bytes:
    if not label or "\0" in label:
        raise ValueError(f"{label!r} is no label")
    return label.encode() + b"\0" + payload
