"""The fake hub where organisations commit first: it takes updates when a test says so."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING
from uuid import uuid4

from federation.plan import canonical
from federation.protocol_commitments import COMMITMENT_LABEL, CommitmentIn
from federation.signatures import verify_bytes
from tests.agent.fake_http import Answer, Seen, answered

if TYPE_CHECKING:
    from uuid import UUID

    from tests.agent.fake_hub import Task


class FakeCommitments:
    keys: dict[str, bytes]
    tasks: dict[UUID, Task]

    def on_commitments(self, seen: Seen, task_id: str) -> Answer:
        (task,) = [task for pk, task in self.tasks.items() if str(pk) == task_id]
        message = CommitmentIn.model_validate_json(seen.body)
        said = message.statement
        verify_bytes(
            self.keys[said.key_id],
            COMMITMENT_LABEL,
            canonical(said.model_dump(mode="json")),
            message.signature,
        )
        task.commitments.append(message)
        now = datetime.now(UTC).isoformat()
        made = {"commitment": str(uuid4()), "reveal": task.reveal, "deadline_at": now}
        return answered(made, 201)
