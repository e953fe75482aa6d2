"""The refusals of federations and participations."""

from __future__ import annotations

from hub.common.errors import DomainError, Invalid


class BaseModelUnknown(Invalid):
    code = "base_model_unknown"
    title = "There is no such base model."


class CharterChanged(DomainError):
    code = "charter_changed"
    title = "The charter is no longer the text that was signed."


class FederationClosed(DomainError):
    code = "federation_closed"
    title = "The federation takes nobody in at present."


class LeadStays(DomainError):
    code = "lead_stays"
    title = "The lead organisation cannot leave its federation."


class NotTakingPart(DomainError):
    code = "not_taking_part"
    title = "The organisation takes no part in this federation."
