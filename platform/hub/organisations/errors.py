"""The refusals of organisations and their agents."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError, Forbidden, Invalid


class NameTaken(DomainError):
    code = "name_taken"
    title = _noop("Another organisation has this name.")


class NotApproved(DomainError):
    code = "organisation_not_approved"
    title = _noop("The organisation is not approved.")


class RegistrationUnknown(DomainError):
    status = 404
    code = "registration_unknown"
    title = _noop("This link confirms nothing, or no longer.")


class WrongPassword(Invalid):
    code = "wrong_password"
    title = _noop("This is not the password of the registration.")


class AlreadyMember(DomainError):
    code = "already_member"
    title = _noop("This person acts for the organisation already.")


class AlreadyInvited(DomainError):
    code = "already_invited"
    title = _noop("Something else has been offered to this address.")


class InvitationClosed(DomainError):
    status = 410
    code = "invitation_closed"
    title = _noop("The invitation is no longer open.")


class InvitationForAnother(Forbidden):
    code = "invitation_for_another"
    title = _noop("The invitation is for another address.")


class RoleHeld(DomainError):
    code = "role_held"
    title = _noop("The role is in use.")


class RoleNameTaken(DomainError):
    code = "role_name_taken"
    title = _noop("Another role has this name.")


class TooManyRoles(DomainError):
    code = "too_many_roles"
    title = _noop("The organisation has as many roles of its own as it may have.")


class GrantsMore(Forbidden):
    code = "grants_more"
    title = _noop("Nobody gives or takes what their own role lacks.")


class LastOwner(DomainError):
    code = "last_owner"
    title = _noop("An organisation keeps at least one owner.")


class CodeUnknown(DomainError):
    status = 404
    code = "code_unknown"
    title = _noop("There is no such enrolment code.")


class CodeSpent(DomainError):
    status = 410
    code = "code_spent"
    title = _noop("This enrolment code has been used.")


class CodeExpired(DomainError):
    status = 410
    code = "code_expired"
    title = _noop("This enrolment code is too old.")


class ProtocolMismatch(DomainError):
    status = 426
    code = "protocol_version"
    title = _noop("This agent and this hub do not understand each other.")


class BadNonce(DomainError):
    status = 400
    code = "bad_nonce"
    title = _noop("The nonce is not one that the hub gave of late.")


class BadPublicKey(DomainError):
    status = 400
    code = "bad_key"
    title = _noop("This is not a public key that can be trusted.")


class BadProof(DomainError):
    status = 400
    code = "bad_proof"
    title = _noop("The signature does not prove that the key is yours.")


class KeyKnown(DomainError):
    code = "key_known"
    title = _noop("This key belongs to an agent already.")


class AgentNameTaken(DomainError):
    code = "agent_name_taken"
    title = _noop("Another agent of the organisation has this name.")


class ReplayedNonce(DomainError):
    status = 401
    code = "replayed_nonce"
    title = _noop("A request with this nonce has been made before.")


class RevokedKey(DomainError):
    status = 401
    code = "revoked_key"
    title = _noop("The agent's key has been revoked.")


class AgentLeft(DomainError):
    status = 401
    code = "agent_left"
    title = _noop("The agent has left.")


class KeyRotated(DomainError):
    code = "key_rotated"
    title = _noop("Another key has taken this one's place.")


class TooManyKeys(DomainError):
    status = 429
    code = "too_many_keys"
    title = _noop("Too many of the agent's former keys are still good.")


class Suspended(Forbidden):
    code = "organisation_suspended"
    title = _noop("The organisation is suspended.")
