"""The Merkle tree of RFC 6962, section 2.1, with SHA-256.

A leaf is the hash of an entry's bytes. The tree is stored as its *perfect* subtrees, which never
change: the node (level, index) stands over the leaves from index·2^level to (index + 1)·2^level.
Every root and every hash of a proof is folded from a few of them. The functions `…_nodes` say
from which, so that a caller can fetch them all at once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

HASH_BYTES = 32
LARGEST_SIZE = 2**53 - 1  # leaves; what every reader of JSON can count to
LONGEST_PROOF = 2 * 53  # hashes; no honest proof comes near it
EMPTY_ROOT = hashlib.sha256(b"").digest()

Node = tuple[int, int]  # level, index
Lookup = Callable[[Node], bytes]


class TreeWrong(ValueError):
    """There is no such tree, leaf or range: the question makes no sense."""


class ProofWrong(ValueError):
    """The proof does not show what it should."""


def leaf_hash(content: bytes) -> bytes:
    return hashlib.sha256(b"\0" + content).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """One hash over neighbouring perfect subtrees, given from the largest to the smallest."""
    if not hashes:
        return EMPTY_ROOT
    folded = hashes[-1]
    for larger in reversed(hashes[:-1]):
        folded = node_hash(larger, folded)
    return folded


def root_nodes(size: int) -> list[Node]:
    """The perfect subtrees that a tree of this size consists of, the largest first."""
    _check_size(size)
    return _perfect(0, size)


def inclusion_nodes(index: int, size: int) -> list[list[Node]]:
    """For each hash of the inclusion proof, from the leaf upwards, what it is folded from."""
    _check_size(size)
    if not 0 <= index < size:
        raise TreeWrong(f"a tree of {size} leaves has no leaf {index}")
    begin, end, path = 0, size, []
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_perfect(middle, end))
            end = middle
        else:
            path.append(_perfect(begin, middle))
            begin = middle
    return path[::-1]


def consistency_nodes(old: int, new: int) -> list[list[Node]]:
    """For each hash of the proof that the first `old` of `new` leaves are still the same."""
    _check_sizes(old, new)
    begin, end, path, whole = 0, new, [], True
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            path.append(_perfect(middle, end))
            end = middle
        else:
            path.append(_perfect(begin, middle))
            begin, whole = middle, False
    if not whole:
        path.append(_perfect(begin, end))
    return path[::-1]


def root(size: int, lookup: Lookup) -> bytes:
    return fold([lookup(node) for node in root_nodes(size)])


def inclusion_proof(index: int, size: int, lookup: Lookup) -> list[bytes]:
    """RFC 6962, 2.1.1: what is hashed with the leaf, step by step, to come to the root."""
    return [_folded(nodes, lookup) for nodes in inclusion_nodes(index, size)]


def consistency_proof(old: int, new: int, lookup: Lookup) -> list[bytes]:
    """RFC 6962, 2.1.2: from which both roots can be computed. Raises TreeWrong for sizes of 0."""
    return [_folded(nodes, lookup) for nodes in consistency_nodes(old, new)]


def verify_inclusion(
    *, index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes
) -> None:
    """Raise ProofWrong unless the leaf stands at this index of the tree (RFC 9162, 2.1.3.2)."""
    _check_proof(size, proof)
    if not 0 <= index < size:
        raise ProofWrong(f"a tree of {size} leaves has no leaf {index}")
    place, last, found = index, size - 1, leaf
    for step in proof:
        if last == 0:
            raise ProofWrong("the proof is too long")
        if place & 1 or place == last:
            found = node_hash(step, found)
            place, last = _skipped(place, last)
        else:
            found = node_hash(found, step)
        place, last = place >> 1, last >> 1
    if last or not hmac.compare_digest(found, root):
        raise ProofWrong(f"leaf {index} is not in this tree of {size}")


def verify_consistency(
    *, old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> None:
    """Raise ProofWrong unless the new tree begins with the old one (RFC 9162, 2.1.4.2)."""
    _check_proof(new, proof)
    if not 0 < old <= new:
        raise ProofWrong(f"a tree of {new} leaves does not extend one of {old}")
    if old == new:
        if proof or not hmac.compare_digest(old_root, new_root):
            raise ProofWrong(f"two roots for the same size {old}")
        return
    before, after = _both_roots(old, new, old_root, proof)
    if not (hmac.compare_digest(before, old_root) and hmac.compare_digest(after, new_root)):
        raise ProofWrong(f"the tree of {new} leaves does not begin with that of {old}")


def _both_roots(old: int, new: int, old_root: bytes, proof: Sequence[bytes]) -> tuple[bytes, bytes]:
    steps = list(proof) if old & (old - 1) else [old_root, *proof]
    place, last = old - 1, new - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    if not steps:
        raise ProofWrong("the proof is too short")
    before = after = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise ProofWrong("the proof is too long")
        if place & 1 or place == last:
            before, after = node_hash(step, before), node_hash(step, after)
            place, last = _skipped(place, last)
        else:
            after = node_hash(after, step)
        place, last = place >> 1, last >> 1
    if last:
        raise ProofWrong("the proof is too short")
    return before, after


@dataclass(slots=True)
class CompactRange:
    """A tree that grows and remembers only the perfect subtrees it consists of."""

    size: int = 0
    hashes: list[bytes] = field(default_factory=list)  # the largest first

    def append(self, leaf: bytes) -> dict[Node, bytes]:
        """Add a leaf; returns the nodes that are now complete, the leaf among them."""
        _check_size(self.size + 1)
        level, made = 0, {(0, self.size): leaf}
        while self.size >> level & 1:
            leaf = node_hash(self.hashes.pop(), leaf)
            level += 1
            made[level, self.size >> level] = leaf
        self.hashes.append(leaf)
        self.size += 1
        return made

    @property
    def root(self) -> bytes:
        return fold(self.hashes)


def nodes_of(leaves: Sequence[bytes]) -> Mapping[Node, bytes]:
    """All perfect subtrees over these leaf hashes."""
    tree, nodes = CompactRange(), dict[Node, bytes]()
    for leaf in leaves:
        nodes |= tree.append(leaf)
    return nodes


def _perfect(begin: int, end: int) -> list[Node]:
    """The perfect subtrees of the range, which begins where one at least as large could."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append((level, begin >> level))
        begin += 1 << level
    return nodes


def _folded(nodes: Sequence[Node], lookup: Lookup) -> bytes:
    return fold([lookup(node) for node in nodes])


def _split(size: int) -> int:
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def _skipped(place: int, last: int) -> tuple[int, int]:
    """Up to where the place is a right child: levels on which it has no neighbour to the right."""
    while place and not place & 1:
        place, last = place >> 1, last >> 1
    return place, last


def _check_size(size: int) -> None:
    if not 0 <= size <= LARGEST_SIZE:
        raise TreeWrong(f"{size} is no size of a tree")


def _check_sizes(old: int, new: int) -> None:
    _check_size(new)
    if not 0 < old <= new:
        raise TreeWrong(f"a tree of {new} leaves does not extend one of {old}")


def _check_proof(size: int, proof: Sequence[bytes]) -> None:
    if not 0 < size <= LARGEST_SIZE:
        raise ProofWrong(f"{size} is no size of a tree that proves something")
    if len(proof) > LONGEST_PROOF or any(len(step) != HASH_BYTES for step in proof):
        raise ProofWrong("the proof is not a short list of hashes")
