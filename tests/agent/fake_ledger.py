"""The fake hub's ledger: honest until a test makes it show another history."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit
from uuid import UUID, uuid4

from federation.keys import generate_private_key, public_key_of
from federation.ledger import merkle, notes
from federation.ledger.entries import NO_ENTRY, Entry, time_of
from federation.ledger.notes import Checkpoint, VerifierKey
from federation.protocol_ledger import CosignatureIn
from tests.agent.fake_http import Answer, Problem, Seen, answered

HOST = "hub.example"


@dataclass
class History:
    """The entries of one ledger, and how many of them are signed."""

    id: UUID = field(default_factory=uuid4)
    texts: list[str] = field(default_factory=list)
    signed: int | None = None  # None: all of them
    cosigned: list[CosignatureIn] = field(default_factory=list)

    def append(self, kind: str, **payload: object) -> int:
        last = merkle.leaf_hash(self.texts[-1].encode()) if self.texts else NO_ENTRY
        entry = Entry(
            index=len(self.texts),
            ledger=self.id,
            type=kind,
            key=f"act:{len(self.texts)}",
            payload=payload,
            prev=last,
            time=time_of(datetime(2026, 11, 23, tzinfo=UTC)),
        )
        self.texts.append(entry.text)
        return entry.index

    @property
    def origin(self) -> str:
        return notes.origin_of(HOST, self.id)

    @property
    def size(self) -> int:
        return len(self.texts) if self.signed is None else self.signed

    def nodes(self) -> dict[merkle.Node, bytes]:
        return dict(merkle.nodes_of([merkle.leaf_hash(text.encode()) for text in self.texts]))

    def checkpoint(self) -> Checkpoint:
        return Checkpoint(self.origin, self.size, merkle.root(self.size, self.nodes().__getitem__))


class FakeLedger:
    """What agents ask of ledgers; `histories` are by federation."""

    def __init__(self) -> None:
        super().__init__()
        self.ledger_private = generate_private_key()
        self.histories: dict[UUID, History] = {}

    @property
    def ledger_key(self) -> str:
        return str(VerifierKey(HOST, public_key_of(self.ledger_private)))

    def history(self) -> History:
        made = History()
        self.histories[made.id] = made
        return made

    def on_checkpoint(self, seen: Seen, federation: str) -> Answer:
        history, asked = self.histories[UUID(federation)], parse_qs(urlsplit(seen.path).query)
        known, covers = int(asked["from"][0]), int(asked.get("covers", ["-1"])[0])
        if known > len(history.texts) or covers >= len(history.texts):
            raise Problem(422, "no_such_tree")
        if covers >= history.size or known > history.size or not history.size:
            raise Problem(409, "checkpoint_pending")
        return answered(self._shown(history, known, covers))

    def _shown(self, history: History, known: int, covers: int) -> dict[str, object]:
        checkpoint, lookup = history.checkpoint(), history.nodes().__getitem__
        said: dict[str, object] = {
            "note": notes.sign_checkpoint(self.ledger_private, checkpoint, name=HOST),
            "size": checkpoint.size,
            "ledger_key": self.ledger_key,
        }
        if known:
            said["consistency"] = _hex(merkle.consistency_proof(known, checkpoint.size, lookup))
        if covers >= 0:
            proof = _hex(merkle.inclusion_proof(covers, checkpoint.size, lookup))
            entry = history.texts[covers]
            said["inclusion"] = {"index": covers, "entry": entry, "proof": proof}
        return said

    def on_cosignatures(self, seen: Seen, federation: str) -> Answer:
        message = CosignatureIn.model_validate_json(seen.body)
        self.histories[UUID(federation)].cosigned.append(message)
        return answered({}, 201)


def _hex(hashes: list[bytes]) -> list[str]:
    return [one.hex() for one in hashes]
