"""What the messages of the protocol are made of; `federation.protocol` has the messages."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
Finite = Annotated[float, Field(allow_inf_nan=False, strict=False)]
Share = Annotated[float, Field(ge=0, le=1, strict=False)]
RuleName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
Metrics = Annotated[dict[Annotated[str, Field(max_length=64)], Finite], Field(max_length=64)]


class Message(BaseModel):
    """A frozen message; unknown fields are refused.

    `since`: fields that came with a later minor version than the first; all have defaults.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    since: ClassVar[Mapping[str, int]] = {}


class TaskType(StrEnum):
    TRAIN = "train"
    EVALUATE = "evaluate"
    VALUE = "value"


class ArtifactRef(Message):
    """Immutable bytes by content: fetch with GET /api/v1/blobs/{sha256}."""

    sha256: Sha256
    size_bytes: Count


class BaseModelRef(Message):
    """A base model of the hub, fetched through the Hugging Face dialect."""

    repo: str  # "base/<slug>"
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{40}$")]
