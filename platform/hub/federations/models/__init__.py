"""Rows of federations; one module for each subject."""

from __future__ import annotations

from hub.federations.models.charters import CharterVersion, Signature
from hub.federations.models.federations import (
    DataDeclaration,
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Standing,
)

__all__ = [
    "CharterVersion",
    "DataDeclaration",
    "Federation",
    "FederationState",
    "Participation",
    "ParticipationState",
    "Signature",
    "Standing",
]
