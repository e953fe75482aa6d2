"""The refusals of federations and participations."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError, Forbidden, Invalid


class BaseModelUnknown(Invalid):
    code = "base_model_unknown"
    title = _noop("There is no such base model.")


class CharterChanged(DomainError):
    code = "charter_changed"
    title = _noop("The charter is no longer the text that was signed.")


class CharterUnsigned(DomainError):
    code = "charter_unsigned"
    title = _noop("Not all who take part have signed the present charter.")


class FederationClosed(DomainError):
    code = "federation_closed"
    title = _noop("The federation takes nobody in at present.")


class InvitationNeeded(DomainError):
    code = "invitation_needed"
    title = _noop("The federation is joined by invitation.")


class FederationDissolved(DomainError):
    code = "federation_dissolved"
    title = _noop("The federation is dissolved: nothing new begins in it.")


class KindUnknown(Invalid):
    code = "proposal_kind_unknown"
    title = _noop("This cannot be proposed.")


class FederationPaused(DomainError):
    code = "federation_paused"
    title = _noop("An operator has paused the federation.")


class LeadStays(DomainError):
    code = "lead_stays"
    title = _noop("The lead organisation cannot leave its federation.")


class LicenceUnaccepted(DomainError):
    code = "licence_unaccepted"
    title = _noop("The licence of the base model must be accepted with the signature.")


class MembersDecide(DomainError):
    code = "members_decide"
    title = _noop("In this federation the members vote on this.")


class NotTakingPart(DomainError):
    code = "not_taking_part"
    title = _noop("The organisation takes no part in this federation.")


class NoVoice(Forbidden):
    code = "no_voice"
    title = _noop("Your organisation has no voice in this vote.")


class ProposalClosed(DomainError):
    code = "proposal_closed"
    title = _noop("This proposal has been decided otherwise.")


class PolicyChanged(DomainError):
    code = "policy_changed"
    title = _noop("Other rules have come into force since.")
