"""What hub and agent tell each other when members measure what contributions were worth."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final, Literal
from uuid import UUID

from pydantic import Field

from federation.plan import Plan
from federation.protocol_parts import (
    ArtifactRef,
    BaseModelRef,
    Count,
    Finite,
    Message,
    Sha256,
    TaskType,
)

VALUES_TYPE: Final = "application/vnd.foedus.values-statement.v1+json"
MOST_PLAYERS: Final = 1000
MOST_COALITIONS: Final = 20_000  # that one probe measures
MOST_BINS: Final = 64

Place = Annotated[int, Field(ge=0, lt=MOST_PLAYERS)]
PlayerId = Annotated[str, Field(max_length=64)]


class Player(Message):
    """Who took part in a round: with which weight, and with which updates."""

    id: PlayerId
    weight: Finite
    updates: Annotated[tuple[Sha256, ...], Field(min_length=1, max_length=64)]


class ValueSpec(Message):
    """Measure coalitions of a round on the participation's own test data.

    The stacked adapter has everybody's change in it; which coalitions are measured follows from
    the method, the players and the seed, and from what was measured before.
    """

    type: Literal[TaskType.VALUE] = TaskType.VALUE
    plan: Plan
    plan_digest: Sha256
    base: BaseModelRef
    valuation: UUID
    stacked: ArtifactRef
    method: Annotated[str, Field(max_length=40)]
    settings: dict[str, Any]
    seed: Sha256
    players: Annotated[tuple[Player, ...], Field(min_length=1, max_length=MOST_PLAYERS)]
    clusters: tuple[tuple[PlayerId, ...], ...] = ()
    examples: Annotated[int, Field(ge=1)]  # at most, spread evenly over the test data


class CoalitionLosses(Message):
    """The losses of one coalition's model, in millionths, bin by bin.

    `players`: their places in the specification, in ascending order.
    """

    players: Annotated[tuple[Place, ...], Field(max_length=MOST_PLAYERS)]
    losses: Annotated[
        tuple[Annotated[int, Field(ge=-(2**53) + 1, le=2**53 - 1)], ...],
        Field(min_length=1, max_length=MOST_BINS),
    ]


class ValuesStatement(Message):
    """What an agent signs of its measurements (canonical JSON, Ed25519 over label || bytes)."""

    type: Literal["application/vnd.foedus.values-statement.v1+json"] = VALUES_TYPE
    federation: str
    run: UUID
    round: Annotated[int, Field(ge=1)]
    task: UUID
    valuation: UUID
    stacked_sha256: Sha256
    counts: Annotated[tuple[Count, ...], Field(min_length=1, max_length=MOST_BINS)]  # of each bin
    measured_sha256: Sha256  # of the canonical JSON of `measured`
    key_id: Sha256
    made_at: datetime


class ValuesIn(Message):
    """Sums over bins of examples: no bin has so few that one could be told from them."""

    fence: Count
    statement: ValuesStatement
    signature: Annotated[str, Field(max_length=128)]  # base64 Ed25519, see signatures.py
    measured: Annotated[
        tuple[CoalitionLosses, ...], Field(min_length=1, max_length=MOST_COALITIONS)
    ]
    device_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=False)] = 0.0
