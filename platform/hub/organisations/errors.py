"""The refusals of organisations and their agents."""

from __future__ import annotations

from hub.common.errors import DomainError, Forbidden, Invalid


class NameTaken(DomainError):
    code = "name_taken"
    title = "Another organisation has this name."


class NotApproved(DomainError):
    code = "organisation_not_approved"
    title = "The organisation is not approved."


class RegistrationUnknown(DomainError):
    status = 404
    code = "registration_unknown"
    title = "This link confirms nothing, or no longer."


class WrongPassword(Invalid):
    code = "wrong_password"
    title = "This is not the password of the registration."


class AlreadyMember(DomainError):
    code = "already_member"
    title = "This person acts for the organisation already."


class AlreadyInvited(DomainError):
    code = "already_invited"
    title = "Something else has been offered to this address."


class InvitationClosed(DomainError):
    status = 410
    code = "invitation_closed"
    title = "The invitation is no longer open."


class InvitationForAnother(Forbidden):
    code = "invitation_for_another"
    title = "The invitation is for another address."


class RoleHeld(DomainError):
    code = "role_held"
    title = "The role is in use."


class RoleNameTaken(DomainError):
    code = "role_name_taken"
    title = "Another role has this name."


class TooManyRoles(DomainError):
    code = "too_many_roles"
    title = "The organisation has as many roles of its own as it may have."


class GrantsMore(Forbidden):
    code = "grants_more"
    title = "Nobody gives or takes what their own role lacks."


class LastOwner(DomainError):
    code = "last_owner"
    title = "An organisation keeps at least one owner."


class CodeUnknown(DomainError):
    status = 404
    code = "code_unknown"
    title = "There is no such enrolment code."


class CodeSpent(DomainError):
    status = 410
    code = "code_spent"
    title = "This enrolment code has been used."


class CodeExpired(DomainError):
    status = 410
    code = "code_expired"
    title = "This enrolment code is too old."


class ProtocolMismatch(DomainError):
    status = 426
    code = "protocol_version"
    title = "This agent and this hub do not understand each other."


class BadNonce(DomainError):
    status = 400
    code = "bad_nonce"
    title = "The nonce is not one that the hub gave of late."


class BadPublicKey(DomainError):
    status = 400
    code = "bad_key"
    title = "This is not a public key that can be trusted."


class BadProof(DomainError):
    status = 400
    code = "bad_proof"
    title = "The signature does not prove that the key is yours."


class KeyKnown(DomainError):
    code = "key_known"
    title = "This key belongs to an agent already."


class AgentNameTaken(DomainError):
    code = "agent_name_taken"
    title = "Another agent of the organisation has this name."


class ReplayedNonce(DomainError):
    status = 401
    code = "replayed_nonce"
    title = "A request with this nonce has been made before."


class RevokedKey(DomainError):
    status = 401
    code = "revoked_key"
    title = "The agent's key has been revoked."


class AgentLeft(DomainError):
    status = 401
    code = "agent_left"
    title = "The agent has left."


class KeyRotated(DomainError):
    code = "key_rotated"
    title = "Another key has taken this one's place."


class TooManyKeys(DomainError):
    status = 429
    code = "too_many_keys"
    title = "Too many of the agent's former keys are still good."


class Suspended(Forbidden):
    code = "organisation_suspended"
    title = "The organisation is suspended."
