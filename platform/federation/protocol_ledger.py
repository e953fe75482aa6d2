"""What hub and agent tell each other about a federation's ledger; federation/ledger reads it."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from pydantic import Field

from federation.protocol_parts import Count, Message, Sha256

LONGEST_NOTE = 64 * 1024
LONGEST_ENTRY = 4 * 1024 * 1024

Proof = Annotated[tuple[Sha256, ...], Field(max_length=106)]


class LedgerRef(Message):
    """An entry that must be in a signed checkpoint before the agent begins."""

    federation: UUID
    covers: Count  # index of the entry that opened the round


class Inclusion(Message):
    """An entry, and the proof that it stands at its index in the checkpoint beside it."""

    index: Count
    entry: Annotated[str, Field(max_length=LONGEST_ENTRY)]  # its text, as it is hashed
    proof: Proof = ()


class CheckpointOut(Message):
    """The newest checkpoint, and that it extends the one that the agent asked `from`."""

    note: Annotated[str, Field(max_length=LONGEST_NOTE)]
    size: Count
    ledger_key: Annotated[str, Field(max_length=512)]  # verifier key, for who has not pinned one
    consistency: Proof = ()  # empty from size 0 or from the same size
    inclusion: Inclusion | None = None  # of the entry that `covers` asked for


class CosignatureIn(Message):
    """The agent's word that it has seen this checkpoint, and that it extends its last."""

    size: Count
    line: Annotated[str, Field(max_length=1024)]  # of the note, without its newline
