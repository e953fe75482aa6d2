"""The fake hub's side of an agent's own affairs: a new key, its leave, its standing."""

from __future__ import annotations

from base64 import b64decode
from datetime import UTC, datetime, timedelta

from federation.protocol import KeyIn, LeaveIn
from federation.signatures import BadKey, BadSignature, key_id, verify_bytes
from tests.agent.fake_http import Answer, Problem, Seen, answered


class FakeIdentity:
    """Both keys of an agent are good until a test ends the old one with `expire`."""

    url: str
    keys: dict[str, bytes]

    def __init__(self) -> None:
        super().__init__()
        self.owners: dict[str, str] = {}  # agents by key
        self.replaced: dict[str, str] = {}  # new keys by old
        self.left: dict[str, str] = {}  # reasons by agent
        self.signer = ""  # of the request that is being answered
        self.places: list[dict[str, object]] = []

    def expire(self, key: str) -> None:
        del self.keys[key]

    def signed_by(self, key: str) -> None:
        self.signer = key
        if self.owners[key] in self.left:
            raise Problem(401, "agent_left")

    def on_keys(self, seen: Seen) -> Answer:
        message, owner = KeyIn.model_validate_json(seen.body), self.owners[self.signer]
        public = b64decode(message.public_key)
        payload = f"{self.url}\n{owner}\n{message.replaces}\n{message.public_key}"
        try:
            verify_bytes(public, "fl-rotate-v1", payload.encode(), message.signature)
        except (BadKey, BadSignature) as bad:
            raise Problem(400, "bad_proof") from bad
        if self.replaced.setdefault(message.replaces, key_id(public)) != key_id(public):
            raise Problem(409, "key_rotated")
        self.keys[key_id(public)], self.owners[key_id(public)] = public, owner
        until = datetime.now(UTC) + timedelta(hours=24)
        return answered({"replaces": message.replaces, "replaces_until": until.isoformat()}, 201)

    def on_leave(self, seen: Seen) -> Answer:
        reason = LeaveIn.model_validate_json(seen.body).reason
        self.left.setdefault(self.owners[self.signer], reason)
        return answered({})

    def on_standing(self, _seen: Seen) -> Answer:
        owner = self.owners[self.signer]
        now = self.signer
        while now in self.replaced:
            now = self.replaced[now]
        said = {"agent": owner, "name": "blaise-1", "organisation": "blaise", "key_id": now}
        return answered({**said, "organisation_name": "Blaise & Sons", "places": self.places})

    def on_alive(self, _seen: Seen) -> Answer:
        return answered({"status": "ok"})
