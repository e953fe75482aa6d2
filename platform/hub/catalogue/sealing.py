"""What lies in Redis for a moment and is nobody's to read: sealed under a key of the hub's.

The key follows from SECRET_KEY, which Redis never sees. So neither its memory nor a snapshot, a
replica or a log of its commands shows what was asked, and nobody there can put words into a
question or an answer.
"""

from __future__ import annotations

import secrets
from functools import cache
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from django.conf import settings

LABEL: Final = b"foedus/playground/v1"
NONCE_BYTES: Final = 12


class BrokenSeal(ValueError):
    """These are not bytes that this hub sealed under this name."""


def sealed(content: bytes, *, name: str) -> bytes:
    """The content, readable under the same name only."""
    nonce = secrets.token_bytes(NONCE_BYTES)
    return nonce + _cipher(settings.SECRET_KEY).encrypt(nonce, content, name.encode())


def unsealed(box: bytes, *, name: str) -> bytes:
    """Raises BrokenSeal."""
    nonce, rest = box[:NONCE_BYTES], box[NONCE_BYTES:]
    try:
        return _cipher(settings.SECRET_KEY).decrypt(nonce, rest, name.encode())
    except (InvalidTag, ValueError):
        raise BrokenSeal(name) from None


@cache
def _cipher(secret: str) -> ChaCha20Poly1305:
    derivation = HKDF(algorithm=SHA256(), length=32, salt=None, info=LABEL)
    return ChaCha20Poly1305(derivation.derive(secret.encode()))
