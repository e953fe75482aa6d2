"""Reads of ledgers: entries, and proofs over the subtrees that the database keeps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from uuid import UUID

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db.models import BigIntegerField, F, OuterRef, QuerySet, Subquery
from django.db.models.fields.tuple_lookups import TupleIn
from django.db.models.functions import Coalesce

from federation.ledger import merkle, notes
from federation.ledger.notes import NoteWrong, VerifierKey, parse_verifier_key
from hub.common.errors import NotFound
from hub.ledger.errors import NoSuchTree
from hub.ledger.models import Checkpoint, Entry, Head, Node


def entries_of(ledger: UUID) -> QuerySet[Entry]:
    """What has its place, in order."""
    return Entry.objects.filter(ledger=ledger, position__isnull=False).order_by("position")


def positions_of(ledger: UUID, keys: Iterable[str]) -> dict[str, int]:
    """Where the entries of these acts are; what is not told, or has no place yet, is not there."""
    found = entries_of(ledger).filter(key__in=list(keys)).values_list("key", "position")
    return {key: place for key, place in found if place is not None}


def checkpoints_of(ledger: UUID) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.filter(ledger=ledger).order_by("size")


def size_of(ledger: UUID) -> int:
    return Head.objects.filter(ledger=ledger).values_list("size", flat=True).first() or 0


def is_stopped(ledger: UUID) -> bool:
    """Whether it takes no entries until an operator lets it."""
    return Head.objects.filter(ledger=ledger).exclude(stopped="").exists()


def newest_checkpoint(ledger: UUID) -> Checkpoint | None:
    return checkpoints_of(ledger).last()


def is_signed(ledger: UUID, size: int) -> bool:
    return Checkpoint.objects.filter(ledger=ledger, size=size).exists()


def unsigned_heads() -> QuerySet[Head]:
    """Ledgers that have grown since their last checkpoint; the stopped ones are another matter."""
    sizes = Checkpoint.objects.filter(ledger=OuterRef("ledger")).order_by("-size").values("size")
    newest = Coalesce(Subquery(sizes[:1]), 0, output_field=BigIntegerField())
    return Head.objects.alias(signed=newest).filter(stopped="", size__gt=F("signed"))


def verifier_key() -> VerifierKey:
    """By which everybody checks the checkpoints of this hub.

    Raises:
        ImproperlyConfigured: LEDGER_VERIFIER_KEY is missing, or none.
    """
    try:
        return parse_verifier_key(settings.LEDGER_VERIFIER_KEY)
    except NoteWrong as wrong:
        raise ImproperlyConfigured(f"LEDGER_VERIFIER_KEY: {wrong}.") from wrong


def origin_of(ledger: UUID) -> str:
    """What the checkpoints call the ledger: by the name of the key, so it outlives an address."""
    return notes.origin_of(verifier_key().name, ledger)


def nodes_at(ledger: UUID, size: int) -> list[bytes]:
    """The perfect subtrees that the first `size` entries consist of, the largest first."""
    nodes = merkle.root_nodes(size)
    hashes = _hashes(ledger, nodes)
    return [hashes[node] for node in nodes]


def root_at(ledger: UUID, size: int) -> bytes:
    """The root of the first `size` entries; of none, the hash of nothing.

    Raises:
        NoSuchTree: the ledger has fewer.
    """
    _check_sizes(ledger, size)
    return _folded(ledger, [merkle.root_nodes(size)])[0]


def inclusion_proof(ledger: UUID, index: int, size: int) -> list[bytes]:
    """RFC 6962, 2.1.1: that the entry at `index` is in the tree of the first `size`.

    Raises:
        NoSuchTree: the ledger has fewer entries, or the tree none at this index.
    """
    _check_sizes(ledger, _bounded(index) + 1, size)
    return _folded(ledger, merkle.inclusion_nodes(index, size))


def consistency_proof(ledger: UUID, old: int, new: int) -> list[bytes]:
    """RFC 6962, 2.1.2: that the tree of the first `new` entries begins with that of `old`.

    Raises:
        NoSuchTree: `old` is 0 or above `new`, or the ledger has fewer entries.
    """
    if old == 0:
        raise NoSuchTree("a tree of nothing proves nothing: ask from 1 entry on")
    _check_sizes(ledger, old, new)
    return _folded(ledger, merkle.consistency_nodes(old, new))


def entry_at(ledger: UUID, index: int) -> Entry:
    """Raises NotFound."""
    found = Entry.objects.filter(ledger=ledger, position=_bounded(index)).first()
    if found is None:
        raise NotFound("the ledger has no such entry")
    return found


def _bounded(number: int) -> int:
    if not 0 <= number <= merkle.LARGEST_SIZE:
        raise NoSuchTree(f"{number} is no number of entries")
    return number


def _check_sizes(ledger: UUID, *sizes: int) -> None:
    """Raise NoSuchTree unless the sizes grow up to what the ledger has at most."""
    for size in sizes:
        _bounded(size)
    if list(sizes) != sorted(sizes):
        raise NoSuchTree(f"{sizes[0]} is beyond a tree of {sizes[-1]} entries")
    if sizes[-1] > (has := size_of(ledger)):
        raise NoSuchTree(f"the ledger has {has} entries, not {sizes[-1]}")


def _folded(ledger: UUID, groups: Sequence[Sequence[merkle.Node]]) -> list[bytes]:
    """Each group of perfect subtrees as one hash; two queries, however many there are."""
    hashes = _hashes(ledger, [node for group in groups for node in group])
    return [merkle.fold([hashes[node] for node in group]) for group in groups]


def _hashes(ledger: UUID, nodes: Iterable[merkle.Node]) -> dict[merkle.Node, bytes]:
    nodes = list(nodes)
    leaves = [index for level, index in nodes if level == 0]
    trees = [(level, index) for level, index in nodes if level > 0]
    found: dict[merkle.Node, bytes] = {}
    if leaves:
        for entry in Entry.objects.filter(ledger=ledger, position__in=leaves).only(
            "position", "leaf"
        ):
            found[0, entry.position or 0] = bytes(entry.leaf or b"")
    if trees:
        for node in Node.objects.filter(TupleIn(("level", "index"), trees), ledger=ledger):
            found[node.level, node.index] = bytes(node.hash)
    return found
