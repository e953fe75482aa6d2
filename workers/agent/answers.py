"""What the hub answers, read by an agent that may be a minor version behind it."""

from __future__ import annotations

from http import HTTPStatus
from typing import TypeVar

import httpx
from pydantic import BaseModel

from agent.errors import Refused
from federation.negotiation import NotUnderstood, Peer, understood
from federation.protocol import PROTOCOL_HEADER

MessageT = TypeVar("MessageT", bound=BaseModel)


def peer_of(response: httpx.Response) -> Peer:
    """The hub as the other side; raises Refused where its version and ours do not go together."""
    try:
        return understood(response.headers.get(PROTOCOL_HEADER))
    except NotUnderstood as mismatch:
        told = f"The hub is of another version: {mismatch}. Upgrade whichever is older."
        raise Refused(HTTPStatus.UPGRADE_REQUIRED, "protocol_version", told) from mismatch


def message_of(model: type[MessageT], response: httpx.Response) -> MessageT:
    """The answer as a message; what a newer hub says beyond it is passed over.

    Raises pydantic's ValidationError.
    """
    return model.model_validate_json(response.content, extra=peer_of(response).extra)
