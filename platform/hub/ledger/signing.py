"""Checkpoints: one process has the ledger's key, and signs what extends all it ever signed.

The new root is computed from what the signer remembers and from the entries' own texts; the
database is only asked whether it says the same. So no second root is signed for one size, and none
over an entry that is not what it was.
"""

from __future__ import annotations

import hashlib
import logging
from functools import cache
from pathlib import Path
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction
from django.utils import timezone

from federation.keys import public_key_of
from federation.ledger import merkle, notes
from federation.ledger.entries import NO_ENTRY
from federation.ledger.notes import NoteWrong, VerifierKey
from hub.common.actors import Actor
from hub.common.errors import NotFound
from hub.common.models import Event
from hub.common.wakeups import wake
from hub.ledger import memory
from hub.ledger.memory import Known
from hub.ledger.models import Checkpoint, EntryType, Head
from hub.ledger.selectors import (
    checkpoints_of,
    entry_at,
    is_signed,
    nodes_at,
    origin_of,
    root_at,
    verifier_key,
)
from hub.ledger.services import append

logger = logging.getLogger(__name__)

READ_AGAIN = 20_000  # entries of the past, each time: some tenth of a second
DAMAGED, REGRESSION = "ledger_damaged", "ledger_regression"

# The first entry of a stretch that is not what was hashed, or not in its place; or what is missing.
FAULT = """
    SELECT min(place) FROM (
        SELECT position AS place FROM (
            SELECT *, lag(leaf) OVER (ORDER BY position) AS before FROM ledger_entry
            WHERE ledger = %(ledger)s AND position >= %(begin)s - 1 AND position < %(end)s
        ) entry
        WHERE position >= %(begin)s AND (
            leaf IS DISTINCT FROM sha256('\\x00'::bytea || convert_to(text, 'UTF8'))
            OR prev IS DISTINCT FROM CASE WHEN position = 0 THEN %(none)s ELSE before END
            OR text IS DISTINCT FROM
                ledger_text(position, key, ledger, payload, prev, at, type)
        )
        UNION ALL
        SELECT %(end)s WHERE %(end)s - %(begin)s <> (
            SELECT count(*) FROM ledger_entry
            WHERE ledger = %(ledger)s AND position >= %(begin)s AND position < %(end)s
        )
    ) fault
"""
LEAVES = """
    SELECT sha256('\\x00'::bytea || convert_to(text, 'UTF8')) FROM ledger_entry
    WHERE ledger = %s AND position >= %s AND position < %s ORDER BY position
"""


class Untrue(Exception):
    """The database does not hold what was signed; `code` says in which way."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


def sign(*, ledger: UUID) -> None:
    """Have a checkpoint over all entries of a ledger; where there is one, nothing happens.

    A ledger that is not what was signed before takes no entries from here on, and gets no
    checkpoint.

    Raises:
        ImproperlyConfigured: this process has no key, or not the one that it should have.
    """
    private = private_key()
    with memory.alone(ledger):
        head = Head.objects.filter(ledger=ledger).first()
        if head is None or head.stopped:
            return
        try:
            _sign(private, ledger, head.size)
        except Untrue as untrue:
            stop(ledger=ledger, code=untrue.code, reason=untrue.reason)


def stop(*, ledger: UUID, code: str, reason: str) -> None:
    """Let a ledger take no entries until an operator lets it. Stopped twice, the first holds."""
    changes = {"stopped": code, "stopped_reason": reason[:500], "stopped_at": timezone.now()}
    Head.objects.filter(ledger=ledger, stopped="").update(**changes)
    logger.error("ledger stopped", extra={"ledger": str(ledger), "code": code, "cause": reason})


@transaction.atomic
def resume(*, ledger: UUID, reason: str, actor: Actor) -> None:
    """Let a stopped ledger take entries again, from what the database holds now.

    That it was, and what had been signed before, is an entry itself; agents that remember more
    refuse all the same until their owners accept it. A ledger that is not stopped stays as it is.

    Raises:
        NotFound: there is no such ledger.
    """
    head = Head.objects.filter(ledger=ledger).first()
    if head is None:
        raise NotFound("there is no such ledger")
    if not head.stopped:
        return
    with memory.alone(ledger):
        known = memory.set_aside(ledger) or Known()
    Head.objects.filter(ledger=ledger).update(stopped="", stopped_reason="", stopped_at=None)
    payload = {
        "was": head.stopped,
        "reason_sha256": hashlib.sha256(reason.encode()).hexdigest(),
        "signed": {"size": known.size, "root": known.root.hex()},
        "kept": {"size": head.size, "last": bytes(head.last).hex()},
    }
    key = f"ledger.resumed:{head.size}"
    append(ledger=ledger, type=EntryType.CORRECTION, key=key, payload=payload)
    Event.objects.create(
        kind="ledger.resumed",
        subject_id=ledger,
        federation_id=ledger,
        reason=reason[:500],
        actor_kind=actor.kind,
        actor_id=actor.id,
        actor_label=actor.label[:200],
    )


def _sign(private: bytes, ledger: UUID, size: int) -> None:
    known = memory.recall(ledger) or _recorded(ledger)
    if size < known.size:
        raise Untrue(REGRESSION, f"{size} entries are left of {known.size} that were signed")
    if size == known.size and is_signed(ledger, size):
        return
    read = _read_again(ledger, known, size)
    _check_past(ledger, known)
    tree = _grown(ledger, known, size)
    if tree.root != root_at(ledger, size):
        raise Untrue(DAMAGED, "the tree that is kept is not that of the entries")
    last = bytes(entry_at(ledger, size - 1).leaf or b"").hex()
    memory.remember(ledger, Known(size, tuple(step.hex() for step in tree.hashes), last, read))
    _record(private, ledger, size, tree.root)


def _record(private: bytes, ledger: UUID, size: int, root: bytes) -> None:
    origin, name = origin_of(ledger), verifier_key().name
    note = notes.sign_checkpoint(private, notes.Checkpoint(origin, size, root), name=name)
    row = Checkpoint(ledger=ledger, size=size, root=root, note=note)
    Checkpoint.objects.bulk_create([row], ignore_conflicts=True)
    wake(f"ledger:{ledger}")


def _read_again(ledger: UUID, known: Known, size: int) -> int:
    """Read what is new, and of the past all or a stretch; returns where to go on the next time."""
    _check(ledger, known.size, size)
    begin = known.read if READ_AGAIN < known.size > known.read else 0
    end = min(begin + READ_AGAIN, known.size)
    _check(ledger, begin, end)
    return end


def _check(ledger: UUID, begin: int, end: int) -> None:
    """Raise Untrue unless all entries of the stretch are what was hashed, each after the other."""
    for start in range(begin, end, READ_AGAIN):
        stretch = {"begin": start, "end": min(start + READ_AGAIN, end)}
        with connection.cursor() as cursor:
            cursor.execute(FAULT, {"ledger": str(ledger), "none": NO_ENTRY, **stretch})
            (fault,) = cursor.fetchone()
        if fault is not None:
            raise Untrue(DAMAGED, f"entry {fault} is not what it was")


def _check_past(ledger: UUID, known: Known) -> None:
    """The newest entry that was signed stands for all before it: each names the one before."""
    if known.size and bytes(entry_at(ledger, known.size - 1).leaf or b"").hex() != known.last:
        raise Untrue(REGRESSION, f"entry {known.size - 1} is another than the one that was signed")


def _grown(ledger: UUID, known: Known, size: int) -> merkle.CompactRange:
    """The tree that was signed, with what came since, from the texts."""
    tree = known.tree()
    with connection.cursor() as cursor:
        cursor.execute(LEAVES, [str(ledger), known.size, size])
        for (leaf,) in cursor:
            tree.append(leaf)
    return tree


def _recorded(ledger: UUID) -> Known:
    """Where nothing is remembered: the newest checkpoint of the database, if it is ours."""
    newest = checkpoints_of(ledger).last()
    if newest is None:
        return Known()
    logger.warning("the signer's memory is gone", extra={"ledger": str(ledger)})
    edge = nodes_at(ledger, newest.size)
    try:
        signed = notes.verify_checkpoint(newest.note, verifier_key(), origin=origin_of(ledger))
    except NoteWrong as wrong:
        raise Untrue(DAMAGED, f"checkpoint {newest.size}: {wrong}") from wrong
    if signed.size != newest.size or signed.root != merkle.fold(edge):
        raise Untrue(DAMAGED, f"checkpoint {newest.size} is not of these entries")
    last = bytes(entry_at(ledger, newest.size - 1).leaf or b"").hex()
    return Known(newest.size, tuple(step.hex() for step in edge), last)


def private_key() -> bytes:
    """Raises ImproperlyConfigured."""
    if not settings.LEDGER_KEY_FILE:
        raise ImproperlyConfigured("LEDGER_KEY_FILE is not set: this process signs no ledgers.")
    return _private_key(settings.LEDGER_KEY_FILE, verifier_key())


@cache
def _private_key(path: str, expected: VerifierKey) -> bytes:
    try:
        key = load_pem_private_key(Path(path).read_bytes(), password=None)
    except (OSError, ValueError, TypeError) as wrong:
        raise ImproperlyConfigured(f"LEDGER_KEY_FILE cannot be read: {wrong}") from wrong
    if not isinstance(key, Ed25519PrivateKey):
        raise ImproperlyConfigured("LEDGER_KEY_FILE must be an Ed25519 key in PEM.")
    private = key.private_bytes_raw()
    if public_key_of(private) != expected.public:
        raise ImproperlyConfigured("LEDGER_KEY_FILE is not the key of LEDGER_VERIFIER_KEY.")
    return private
