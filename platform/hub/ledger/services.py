"""Writing to ledgers: in the transaction of the act, in an order that the database keeps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction

from federation.ledger.entries import canonical
from hub.common.services import violated
from hub.dispatch import Job, send_soon
from hub.ledger.errors import STOPPED, EntryDiffers, LedgerStopped
from hub.ledger.models import Entry, EntryType
from hub.ledger.selectors import unsigned_heads

PLACE_NOW = """
    SET CONSTRAINTS entry_finds_its_place IMMEDIATE;
    SET CONSTRAINTS entry_finds_its_place DEFERRED
"""
# What somebody waits for the checkpoint of; all other entries are signed after the next sweep.
PROMPT = frozenset({EntryType.ROUND_OPENED, EntryType.ROUND_CLOSED})
ASKED_SECONDS = 60.0  # by then a sweep has asked again

INSERT = """
    INSERT INTO ledger_entry (ledger, key, type, payload)
    VALUES (%(ledger)s, %(key)s, %(type)s, %(payload)s)
    ON CONFLICT (ledger, key) DO NOTHING
    RETURNING (SELECT stopped FROM ledger_head WHERE ledger_head.ledger = ledger_entry.ledger)
"""


@dataclass(frozen=True, slots=True)
class Signing:
    """Asks for a checkpoint, once the transaction has committed."""

    ledger: UUID

    def __call__(self) -> None:
        send_soon(Job.SIGN_LEDGER, str(self.ledger), seconds=ASKED_SECONDS)


def append(*, ledger: UUID, type: EntryType, key: str, payload: Mapping[str, Any]) -> None:  # noqa: A002
    """Tell an act in its own transaction; it has its place once that commits.

    The same act told twice is one entry. `payload` has identifiers, digests and numbers, and
    nothing that people wrote. One transaction may write to several ledgers, in any order.

    Raises:
        LedgerStopped: the ledger takes no entries.
        EntryDiffers: the key stands for another payload.
    """
    if not connection.in_atomic_block:
        raise transaction.TransactionManagementError("an entry belongs into its act's transaction")
    said = canonical(dict(payload))
    row = {"ledger": str(ledger), "key": key, "type": str(type), "payload": said}
    with connection.cursor() as cursor:
        cursor.execute(INSERT, row)
        written = cursor.fetchone()
    if written is None:
        _refuse_another(ledger, key, type, said)
        return
    if written[0]:
        raise LedgerStopped(f"Its operators have been told why: {written[0]}.", retry_after=60)
    if type in PROMPT and settings.LEDGER_VERIFIER_KEY:
        _sign_soon(Signing(ledger))


def _refuse_another(ledger: UUID, key: str, kind: EntryType, said: str) -> None:
    earlier = Entry.objects.get(ledger=ledger, key=key)
    if (earlier.type, earlier.payload) != (str(kind), said):
        raise EntryDiffers(f"{key} stands for another {earlier.type} in the ledger {ledger}")


def _sign_soon(signing: Signing) -> None:
    """Once for a transaction, however much it appends."""
    if not any(signing in waiting for waiting in connection.run_on_commit):
        transaction.on_commit(signing, robust=True)


def sign_the_rest(*, limit: int = 500) -> None:
    """Ask for checkpoints of ledgers that have grown."""
    if settings.LEDGER_VERIFIER_KEY:
        for ledger in unsigned_heads().values_list("ledger", flat=True)[:limit]:
            Signing(ledger)()


@contextmanager
def stopping() -> Iterator[None]:
    """Where entries find their places: say it like `append` when a ledger was stopped meanwhile."""
    try:
        yield
    except IntegrityError as refusal:
        if violated(refusal) == "ledger_stopped":
            raise STOPPED from refusal
        raise


def settle(*, ledger: UUID, key: str) -> tuple[int, bytes]:
    """Give the transaction's entries their places now.

    Returns that of this key, counted from 0, and its leaf hash.

    From here to the commit nobody else can append: nothing that waits may follow.

    Raises:
        LedgerStopped: the ledger takes no entries.
    """
    with connection.cursor() as cursor, stopping():
        cursor.execute(PLACE_NOW)
        cursor.execute(
            "SELECT position, leaf FROM ledger_entry WHERE ledger = %s AND key = %s", [ledger, key]
        )
        position, leaf = cursor.fetchone()
    return int(position), bytes(leaf)
