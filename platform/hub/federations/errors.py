"""The refusals of federations and participations."""

from __future__ import annotations

from hub.common.errors import DomainError, Invalid


class BaseModelUnknown(Invalid):
    code = "base_model_unknown"
    title = "There is no such base model."


class CharterChanged(DomainError):
    code = "charter_changed"
    title = "The charter is no longer the text that was signed."


class CharterUnsigned(DomainError):
    code = "charter_unsigned"
    title = "Not all who take part have signed the present charter."


class FederationClosed(DomainError):
    code = "federation_closed"
    title = "The federation takes nobody in at present."


class InvitationNeeded(DomainError):
    code = "invitation_needed"
    title = "The federation is joined by invitation."


class LeadStays(DomainError):
    code = "lead_stays"
    title = "The lead organisation cannot leave its federation."


class LicenceUnaccepted(DomainError):
    code = "licence_unaccepted"
    title = "The licence of the base model must be accepted with the signature."


class NotTakingPart(DomainError):
    code = "not_taking_part"
    title = "The organisation takes no part in this federation."


class PolicyChanged(DomainError):
    code = "policy_changed"
    title = "Other rules have come into force since."
