"""Which key of whose was good when, as the ledger itself tells it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from verifier.faults import Wrong
from verifier.ledger.notes import decoded

ENROLLED, ROTATED, REVOKED = "key.enrolled", "key.rotated", "key.revoked"
MARK = b'"type":"key.'  # near the end of the row of such an entry

# An act was let in while its key was good, and stands in the ledger a moment later.
GRACE = timedelta(minutes=2)


@dataclass(slots=True)
class Life:
    """Of one key: from which entry on it is known, and between which times it signs."""

    index: int
    public: bytes
    participation: str
    agent: str
    since: datetime
    until: datetime | None = None


@dataclass(slots=True)
class Keyring:
    """All keys that a ledger names."""

    lives: dict[str, Life] = field(default_factory=dict)

    def learn(self, index: int, kind: str, said: Mapping[str, Any]) -> None:
        """Raises Wrong."""
        name = said["key_id"]
        if kind == REVOKED:
            self._end(name, said["valid_until"])
            return
        public = decoded(said["public_key"])
        if hashlib.sha256(public).hexdigest() != name:
            raise Wrong("the key's id is not that of the key")
        if kind == ROTATED:
            self._end(said["replaces"], said["replaced_until"])
        since = moment(said["valid_from"])
        life = Life(index, public, said["participation"], said["agent"], since)
        self.lives.setdefault(name, life)

    def key(self, name: str, index: int, time: str) -> Life:
        """The key as it was good for the entry at this index and time. Raises Wrong."""
        life = self.lives.get(name)
        if life is None or life.index >= index:
            raise Wrong(f"the ledger does not know the key {name[:16]}… yet")
        self._check_time(name, life, moment(time))
        return life

    def witness(self, name: str, seconds: int) -> Life:
        """The key with which an agent could cosign at that time. Raises Wrong."""
        life = self.lives.get(name)
        if life is None:
            raise Wrong(f"the ledger does not know the key {name[:16]}…")
        if seconds >= 2**34:
            raise Wrong("a cosignature is of no time")
        self._check_time(name, life, datetime.fromtimestamp(seconds, UTC) + timedelta(seconds=1))
        return life

    def _check_time(self, name: str, life: Life, at: datetime) -> None:
        if at < life.since - GRACE or (life.until is not None and at > life.until + GRACE):
            raise Wrong(f"the key {name[:16]}… was not good at {at:%Y-%m-%d %H:%M:%S} UTC")

    def _end(self, name: str, until: str | None) -> None:
        life = self.lives.get(name)
        if life is None:
            raise Wrong(f"it ends the key {name[:16]}…, which the ledger does not know")
        if until is not None:
            at = moment(until)
            life.until = at if life.until is None else min(at, life.until)


def moment(time: str) -> datetime:
    """Raises Wrong."""
    try:
        found = datetime.fromisoformat(time)
    except ValueError as error:
        raise Wrong(f"{time[:40]!r} is no time") from error
    if found.tzinfo is None:
        raise Wrong(f"{time!r} has no time zone")
    return found
