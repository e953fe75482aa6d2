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
from hub.federations.models.proposals import Choice, Proposal, ProposalState, Vote

__all__ = [
    "CharterVersion",
    "Choice",
    "DataDeclaration",
    "Federation",
    "FederationState",
    "Participation",
    "ParticipationState",
    "Proposal",
    "ProposalState",
    "Signature",
    "Standing",
    "Vote",
]
