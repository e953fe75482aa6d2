"""What can be checked of some rows by themselves, in a process of its own.

That is most of the work: hashes, the chain within, signatures, values from recorded losses.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from verifier.faults import Wrong
from verifier.ledger import notes, rows
from verifier.ledger.keys import ENROLLED, REVOKED, ROTATED, Keyring, Life
from verifier.ledger.lineage import STEPS
from verifier.ledger.rows import Entry
from verifier.ledger.valuing import check_valuation

LABELS = {"update.submitted": b"fl-update-v1\0", "update.committed": b"fl-commitment-v1\0"}
SIGNED = ("run", "round", "plan_digest", "start_sha256", "update_sha256", "examples")
KEYS = (ENROLLED, ROTATED, REVOKED)


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of the whole export before its rows are checked."""

    keyring: Keyring
    ledger_key: notes.Key
    troubles: Mapping[int, str]  # what is wrong with entries of keys, by index


@dataclass(slots=True)
class Found:
    """What some rows came to. `wrong` is the first that is, and ends them."""

    first: int = 0  # index of the first entry
    before: bytes = b""  # the hash that it says comes before it
    ledger: str = ""
    leaves: bytearray = field(default_factory=bytearray)
    acts: list[bytes] = field(default_factory=list)  # digests of the keys of entries
    told: list[tuple[int, str, str, dict[str, Any]]] = field(default_factory=list)
    checkpoints: list[tuple[str, int, bytes, list[str]]] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)
    last_time: str = ""
    first_time: str = ""
    wrong: Wrong | None = None

    def count(self, what: str, by: int = 1) -> None:
        self.counted[what] = self.counted.get(what, 0) + by


def check_rows(known: Known, first: int, lines: Sequence[bytes]) -> Found:
    """`first`: the index that the first entry among them should have."""
    found, where = Found(first=first), ""
    try:
        for line in lines:
            where = ""
            if line.startswith(rows.CHECKPOINT):
                where = "a checkpoint"
                _checkpoint(known, line, found)
            elif line.startswith(rows.KEY):
                where = "the ledger's key"
                rows.key_of(line)
            else:
                _take(known, rows.entry_of(line), found)
    except Wrong as wrong:
        found.wrong = wrong.at(where or _next(found))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        told = f"it lacks what such an entry has: {error!r}"
        found.wrong = Wrong(told, where or _next(found))
    found.count("entries", len(found.acts))
    return found


def _next(found: Found) -> str:
    return f"entry {found.first + len(found.acts)}"


def _take(known: Known, entry: Entry, found: Found) -> None:
    """One entry, after those before it. Raises Wrong."""
    place = len(found.acts)
    if entry.index != found.first + place:
        raise Wrong(f"its index is {entry.index}")
    if place == 0:
        found.before, found.ledger, found.first_time = entry.prev, entry.ledger, entry.time
    elif entry.prev != found.leaves[-32:]:
        raise Wrong("it does not follow the entry before it")
    elif entry.ledger != found.ledger:
        raise Wrong("it is of another ledger")
    elif entry.time < found.last_time:
        raise Wrong("it is older than the entry before it")
    told = CHECKS.get(entry.type, _as_it_is)(known, entry, found)
    found.leaves += entry.leaf
    found.acts.append(hashlib.sha256(entry.key.encode()).digest()[:8])
    found.last_time = entry.time
    if entry.type in STEPS:
        found.told.append((entry.index, entry.type, entry.key, told))


def _as_it_is(_known: Known, entry: Entry, _found: Found) -> dict[str, Any]:
    return entry.payload


def _submitted(known: Known, entry: Entry, found: Found) -> dict[str, Any]:
    """What later entries are held against, of an update's entry and of what was signed."""
    statement = _statement(known, entry, found)
    told = {name: entry.payload[name] for name in ("round", "update", "participation")}
    return told | {"statement": {name: statement[name] for name in SIGNED}}


def _judged(_known: Known, entry: Entry, _found: Found) -> dict[str, Any]:
    return {name: entry.payload[name] for name in ("round", "update", "verdict")}


def _statement(known: Known, entry: Entry, found: Found) -> dict[str, Any]:
    """What an agent has signed, by the key that it had then."""
    said = entry.payload
    life: Life = known.keyring.key(said["key_id"], entry.index, entry.time)
    signed = said["statement"]
    message = LABELS[entry.type] + signed.encode()
    notes.verify(life.public, notes.decoded(said["signature"]), message)
    statement: dict[str, Any] = json.loads(signed)
    if life.participation != said["participation"]:
        raise Wrong("it is signed by the agent of another participation")
    if statement["key_id"] != said["key_id"]:
        raise Wrong("the statement names another key")
    found.count("statements")
    return statement


def _valuation(_known: Known, entry: Entry, found: Found) -> dict[str, Any]:
    is_checked = check_valuation(entry.payload)
    found.count("valuations" if is_checked else "valuations by digest alone")
    record = entry.payload.get("record") or {}
    told: dict[str, Any] = {n: v for n, v in entry.payload.items() if n != "record"}
    return told | {"seed": record.get("seed"), "record_players": record.get("players")}


def _plan(_known: Known, entry: Entry, _found: Found) -> dict[str, Any]:
    """The plan is the one of its digest; what later entries are held against is taken out."""
    said = entry.payload
    plan = json.loads(said["plan"]) if said.get("plan") else {}
    if plan and hashlib.sha256(said["plan"].encode()).hexdigest() != said["plan_digest"]:
        raise Wrong("its plan is not the one of its digest")
    return {**{n: v for n, v in said.items() if n != "plan"}, "rewards": plan.get("rewards")}


def _key(known: Known, entry: Entry, _found: Found) -> dict[str, Any]:
    """What is wrong with it was found when all keys were read; here it has its turn."""
    if reason := known.troubles.get(entry.index):
        raise Wrong(reason)
    return entry.payload


Check = Callable[[Known, Entry, Found], dict[str, Any]]
CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(KEYS, _key),
    "update.submitted": _submitted,
    "update.judged": _judged,
    "update.committed": _statement,
    "valuation.recorded": _valuation,
    "run.started": _plan,
}


def _checkpoint(known: Known, line: bytes, found: Found) -> None:
    checkpoint = notes.parse_note(rows.note_of(line))
    where = f"the checkpoint of size {checkpoint.size}"
    try:
        notes.check_signed(checkpoint, known.ledger_key)
        signers = [
            _cosigner(known, checkpoint, name, id_, raw)
            for name, id_, raw in checkpoint.signatures
            if (name, id_) != (known.ledger_key.name, known.ledger_key.id)
        ]
    except Wrong as wrong:
        raise wrong.at(where) from wrong
    if len(set(signers)) < len(signers):
        raise Wrong("somebody has cosigned it twice", where)
    found.count("checkpoints")
    found.count("cosignatures", len(signers))
    found.checkpoints.append((checkpoint.origin, checkpoint.size, checkpoint.root, signers))


def _cosigner(known: Known, checkpoint: notes.Checkpoint, name: str, id_: bytes, raw: bytes) -> str:
    """The participation whose agent has cosigned. Raises Wrong."""
    host = checkpoint.origin.partition("/")[0]
    key_id = name.removeprefix(f"{host}/witnesses/")
    life = known.keyring.witness(key_id, int.from_bytes(raw[:8], "big"))
    if notes.Key(name, notes.WITNESS_KEY, life.public).id != id_:
        raise Wrong(f"the cosignature of {name} is of another key")
    notes.check_cosigned(checkpoint, name, raw, life.public)
    return key_id
