"""The Merkle tree of RFC 6962 over leaf hashes, as it grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

HASH_BYTES = 32
NO_HASH = bytes(HASH_BYTES)


def leaf_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + content).digest()


def roots(leaves: bytes | bytearray, sizes: Sequence[int]) -> Iterator[tuple[int, bytes]]:
    """The root at each of the sizes, which grow and are at most the number of leaves.

    `leaves`: their hashes, one after the other.
    """
    sha256, peaks, size = hashlib.sha256, list[bytes](), 0
    for wanted in sizes:
        while size < wanted:
            found, place = bytes(leaves[size * HASH_BYTES : (size + 1) * HASH_BYTES]), size
            while place & 1:
                found, place = sha256(b"\1" + peaks.pop() + found).digest(), place >> 1
            peaks.append(found)
            size += 1
        yield wanted, _root(peaks)


def _root(peaks: Sequence[bytes]) -> bytes:
    """Of perfect subtrees, the largest first."""
    if not peaks:
        return hashlib.sha256(b"").digest()
    found = peaks[-1]
    for larger in reversed(peaks[:-1]):
        found = hashlib.sha256(b"\1" + larger + found).digest()
    return found
