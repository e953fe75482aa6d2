"""The refusals of federations and participations."""

from __future__ import annotations

from hub.common.errors import DomainError, Forbidden, Invalid


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


class FederationDissolved(DomainError):
    code = "federation_dissolved"
    title = "The federation is dissolved: nothing new begins in it."


class KindUnknown(Invalid):
    code = "proposal_kind_unknown"
    title = "This cannot be proposed."


class FederationPaused(DomainError):
    code = "federation_paused"
    title = "An operator has paused the federation."


class LeadStays(DomainError):
    code = "lead_stays"
    title = "The lead organisation cannot leave its federation."


class LicenceUnaccepted(DomainError):
    code = "licence_unaccepted"
    title = "The licence of the base model must be accepted with the signature."


class MembersDecide(DomainError):
    code = "members_decide"
    title = "In this federation the members vote on this."


class NotTakingPart(DomainError):
    code = "not_taking_part"
    title = "The organisation takes no part in this federation."


class NoVoice(Forbidden):
    code = "no_voice"
    title = "Your organisation has no voice in this vote."


class ProposalClosed(DomainError):
    code = "proposal_closed"
    title = "This proposal has been decided otherwise."


class PolicyChanged(DomainError):
    code = "policy_changed"
    title = "Other rules have come into force since."
