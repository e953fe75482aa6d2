"""A task in the hand of a test: what an agent would send about it, and what it never would."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import httpx

from federation.keys import sign_bytes
from federation.plan import canonical
from tests.system.people import Hand
from tests.system.processes import wait_until
from tests.system.stack import Stack, plan

STATEMENT = "application/vnd.foedus.update-statement.v1+json"


class Courier:
    """Grace's agent with the one task of a run that only she trains."""

    def __init__(self, stack: Stack, origin: UUID) -> None:
        self.stack = stack
        self.hand: Hand = stack.grace
        alone = plan(count=1, every="never", rounds={"quorum": 1})
        self.run = stack.start_run(alone, "grace", parent_version=str(origin))
        self.offer: dict[str, Any] = {}
        self.lease()

    def lease(self) -> None:
        wait_until(self._lease, every=0.1, what="no task for Grace")

    def _lease(self) -> bool:
        asked = {"agent_version": "0", "federations": [self.stack.facts["slug"]]}
        answer = self.hand.post("leases?wait=10", asked)
        self.offer = answer.json() if answer.status_code == 200 else {}
        return self.offer.get("run") == str(self.run)

    @property
    def task(self) -> str:
        return f"tasks/{self.offer['id']}"

    def start(self) -> bytes:
        """The adapter that the round starts from: well-formed, and of the right shapes."""
        path = f"/api/v1/blobs/{self.offer['spec']['start']['sha256']}"
        headers = self.hand.headers("GET", path, b"")
        return self.hand.http.get(self.hand.url + path, headers=headers).raise_for_status().content

    def moved(self) -> bytes:
        """An update that can be true: the start with its last number changed."""
        return self.start()[:-4] + struct.pack("<f", 0.25)

    def announce(self, content: bytes, **changes: object) -> httpx.Response:
        said = {"sha256": sha256(content).hexdigest(), "size_bytes": len(content), **changes}
        return self.hand.post(f"{self.task}/uploads", {"fence": self.offer["fence"], **said})

    def upload(self, content: bytes) -> None:
        session = self.announce(content).raise_for_status().json()
        for offset in range(session["offset"], len(content), session["chunk_bytes"]):
            part = content[offset : offset + session["chunk_bytes"]]
            assert self.part(session["id"], part, offset).status_code == 204

    def part(self, upload: str, content: bytes, offset: int, **named: str) -> httpx.Response:
        headers = {
            "Content_Type": "application/offset+octet-stream",
            "Tus_Resumable": "1.0.0",
            "Upload_Offset": str(offset),
            **named,
        }
        return self.hand.send("PATCH", f"uploads/{upload}", content, **headers)

    def statement(self, content: bytes, **changes: object) -> dict[str, Any]:
        offer = self.offer
        return {
            "type": STATEMENT,
            "protocol": "1",
            "federation": offer["federation"],
            "run": offer["run"],
            "round": offer["round"],
            "task": offer["id"],
            "participation_rank": offer["spec"]["rank"],
            "plan_digest": offer["spec"]["plan_digest"],
            "start_sha256": offer["spec"]["start"]["sha256"],
            "update_sha256": sha256(content).hexdigest(),
            "size_bytes": len(content),
            "examples": 10,
            "tokens": 100,
            "steps": 2,
            "device_seconds": 0.5,
            "metrics": {"loss": 0.5},
            "key_id": self.hand.key_id,
            "made_at": datetime.now(UTC).isoformat().replace("+00:00", "Z"),
            **changes,
        }

    def submission(self, content: bytes, **changes: object) -> dict[str, Any]:
        said = self.statement(content, **changes)
        signature = sign_bytes(self.hand.private_key, "fl-update-v1", canonical(said))
        return {"fence": self.offer["fence"], "statement": said, "signature": signature}

    def submit(self, content: bytes, **changes: object) -> httpx.Response:
        return self.hand.post(f"{self.task}/updates", self.submission(content, **changes))


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A file with any header, given as text or as what is to become JSON."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def opened(content: bytes) -> tuple[dict[str, dict[str, Any]], bytes]:
    """The header and the data of a well-formed file."""
    (length,) = struct.unpack("<Q", content[:8])
    header: dict[str, dict[str, Any]] = json.loads(content[8 : 8 + length])
    return header, content[8 + length :]


def changed(content: bytes, name: str, changes: Mapping[str, Any]) -> bytes:
    """The file with another entry for the first tensor whose name ends so."""
    header, data = opened(content)
    tensor = next(key for key in header if key.endswith(name))
    header[tensor] |= changes
    return safetensors(header, data)
