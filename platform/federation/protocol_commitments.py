"""Commit, then reveal: an agent says which bytes it will send, before anybody sends any."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import Field

from federation.protocol_parts import Count, Message, Sha256

COMMITMENT_LABEL: Final = "fl-commitment-v1"
COMMITMENT_TYPE: Final = "application/vnd.foedus.commitment-statement.v1+json"


class CommitmentStatement(Message):
    """What an agent signs before it sends its update (canonical JSON, Ed25519 over label || bytes).

    The update is random enough that its digest tells nothing about it.
    """

    type: Literal["application/vnd.foedus.commitment-statement.v1+json"] = COMMITMENT_TYPE
    federation: str
    run: UUID
    round: Annotated[int, Field(ge=1)]
    task: UUID
    plan_digest: Sha256
    update_sha256: Sha256
    key_id: Sha256
    made_at: datetime


class CommitmentIn(Message):
    fence: Count
    statement: CommitmentStatement
    signature: Annotated[str, Field(max_length=128)]  # base64 Ed25519, see signatures.py


class CommitmentOut(Message):
    """`reveal`: the update may be sent now. Otherwise a heartbeat says when."""

    commitment: UUID
    reveal: bool
    deadline_at: datetime  # when the round opens for updates, whoever is missing
