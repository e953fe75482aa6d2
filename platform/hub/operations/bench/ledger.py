"""A ledger: how many acts a second it takes, and how soon it proves one of a million entries."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from random import Random
from statistics import quantiles
from uuid import UUID, uuid4

from django.db import connection, connections, transaction

from federation.ledger import merkle
from hub.ledger.models import Checkpoint, EntryType, Head
from hub.ledger.selectors import entry_at, inclusion_proof, root_at
from hub.ledger.services import append
from hub.operations.roles import as_owner

SECONDS = 5.0
WRITERS = 8
PROOFS = 500

# A past that nobody lived through: its hashes are those of a tree, its texts are nothing.
LEAVES = """
    INSERT INTO ledger_entry (ledger, key, type, payload, position, at, prev, text, leaf)
    SELECT %(ledger)s, 'act:' || number, 'correction', '{}', number, now(), '', '',
        sha256(('entry ' || number)::bytea)
    FROM generate_series(0, %(size)s - 1) number
"""
NODES = """
    INSERT INTO ledger_node (ledger, level, index, hash)
    SELECT %(ledger)s, %(level)s + 1, place / 2, sha256('\\x01'::bytea || hash || beside)
    FROM (SELECT place, hash, lead(hash) OVER (ORDER BY place) AS beside FROM ({below}) kept) pair
    WHERE place %% 2 = 0 AND beside IS NOT NULL
"""
OF_LEAVES = "SELECT position AS place, leaf AS hash FROM ledger_entry WHERE ledger = %(ledger)s"
OF_NODES = (
    "SELECT index AS place, hash FROM ledger_node WHERE ledger = %(ledger)s AND level = %(level)s"
)


@dataclass(frozen=True, slots=True)
class Ledger:
    writers: int  # that append to one ledger at the same time, each act in a transaction
    per_second: float
    entries: int  # of the ledger that is asked for proofs
    median_milliseconds: float  # of an inclusion proof
    p99_milliseconds: float


def measure(entries: int) -> Ledger:
    per_second = _append()
    cuts = quantiles(_prove(entries), n=100)
    return Ledger(WRITERS, per_second, entries, 1000 * cuts[49], 1000 * cuts[98])


def _append() -> float:
    """Acts a second in one ledger, the worst case: each waits for the one before to commit."""
    ledger, counts = uuid4(), [0] * WRITERS
    until = time.monotonic() + SECONDS
    threads = [
        threading.Thread(target=_act, args=[ledger, number, counts, until])
        for number in range(WRITERS)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sum(counts) / SECONDS


def _act(ledger: UUID, number: int, counts: list[int], until: float) -> None:
    try:
        while time.monotonic() < until:
            payload = {"update": str(uuid4()), "examples": counts[number], "digest": "0" * 64}
            with transaction.atomic():
                key = f"act:{number}:{counts[number]}"
                append(ledger=ledger, type=EntryType.UPDATE_SUBMITTED, key=key, payload=payload)
            counts[number] += 1
    finally:
        connections.close_all()


def _prove(entries: int) -> list[float]:
    """Seconds of each proof, which are checked as well."""
    ledger = _past(entries)
    root, drawn, took = root_at(ledger, entries), Random(0), []  # noqa: S311 (places to look at)
    for _ in range(PROOFS):
        index = drawn.randrange(entries)
        began = time.perf_counter()
        proof = inclusion_proof(ledger, index, entries)
        took.append(time.perf_counter() - began)
        leaf = bytes(entry_at(ledger, index).leaf or b"")
        merkle.verify_inclusion(index=index, size=entries, leaf=leaf, proof=proof, root=root)
    return took


def _past(size: int) -> UUID:
    """A ledger of so many entries, made by the owner of the tables past the trigger."""
    ledger = uuid4()
    with as_owner(), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("SET LOCAL statement_timeout = 0")
        cursor.execute(LEAVES, {"ledger": ledger, "size": size})
        for level in range(size.bit_length()):
            nodes = NODES.format(below=OF_NODES if level else OF_LEAVES)
            cursor.execute(nodes, {"ledger": ledger, "level": level})
        cursor.execute("ANALYZE ledger_entry, ledger_node")
        Head.objects.create(ledger=ledger, size=size, last=b"")
        Checkpoint.objects.create(ledger=ledger, size=size, root=b"", note="")
    return ledger
