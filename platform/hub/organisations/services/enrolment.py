"""How an agent gets in: a one-time code, a key made at the site, and proof that it is theirs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.core.signing import BadSignature as BadSeal
from django.core.signing import TimestampSigner
from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from federation.protocol import EnrolmentIn
from federation.signatures import BadKey, BadSignature, check_public_key, key_id, verify_bytes
from hub.accounts.models import User
from hub.common import text
from hub.common.errors import NotFound
from hub.common.services import violated
from hub.dispatch import Job, enqueue
from hub.organisations.errors import (
    AgentNameTaken,
    BadNonce,
    BadProof,
    BadPublicKey,
    CodeExpired,
    CodeSpent,
    CodeUnknown,
    KeyKnown,
    NotApproved,
)
from hub.organisations.models import (
    Agent,
    AgentKey,
    EnrolmentCode,
    Organisation,
    OrganisationState,
)
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

PROOF_LABEL = "fl-enrol-v1"
NONCE_LIFE = timedelta(minutes=10)


@transaction.atomic
def make_enrolment_code(*, organisation_id: UUID, user: User) -> tuple[EnrolmentCode, str]:
    """A code that lets one agent in, within a day; its text is known only now."""
    membership = require_permission(user, organisation_id, Permission.MANAGE_AGENTS)
    organisation = membership.organisation
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(_stands(organisation))
    secret = f"enrol_{secrets.token_urlsafe(32)}"
    code = EnrolmentCode.objects.create(
        organisation=organisation,
        digest=_digest(secret),
        created_by=user,
        expires_at=timezone.now() + timedelta(hours=settings.ENROLMENT_CODE_HOURS),
    )
    organisation.record("code_made", actor=user.actor, data={"organisation": organisation.name})
    return code, secret


@transaction.atomic
def revoke_enrolment_code(*, code_id: UUID, user: User) -> None:
    """End a code before its time; one that has ended stays as it is.

    Raises:
        NotFound: no such code of an organisation of theirs.
        Forbidden: the person may not manage its agents.
        CodeSpent: an agent came in with it already.
    """
    code = EnrolmentCode.objects.select_for_update().filter(pk=code_id).first()
    if code is None:
        raise NotFound("no such code")
    require_permission(user, code.organisation_id, Permission.MANAGE_AGENTS)
    if code.agent_id is not None:
        raise CodeSpent(_("Revoke the agent that came in with it."))
    if code.expires_at <= timezone.now():
        return
    code.expires_at = timezone.now()
    code.save(update_fields=["expires_at"])
    name = code.organisation.name
    code.organisation.record("code_revoked", actor=user.actor, data={"organisation": name})


def new_nonce() -> str:
    """A nonce for the proof of possession; sealed and dated, so that nothing need be kept."""
    return _sealer().sign(secrets.token_urlsafe(16))


@transaction.atomic
def enrol_agent(*, message: EnrolmentIn) -> Agent:
    """Let an agent in and spend its code.

    The same key with the same code gets the same agent: a lost answer can be asked for again.

    Raises:
        BadNonce, BadPublicKey, BadProof: the proof of possession fails.
        CodeUnknown, CodeSpent, CodeExpired: the code opens nothing, or no longer.
        NotApproved, KeyKnown, AgentNameTaken: the organisation cannot have this agent.
    """
    public_key = _proved_key(message)
    code = _locked_code(message.code)
    if code.agent is not None:
        if code.agent.key_id != key_id(public_key) or code.agent.is_final:
            raise CodeSpent("Ask for a new one; each lets one agent in.")
        return code.agent
    if code.expires_at <= timezone.now():
        raise CodeExpired("Ask for a new one.")
    if code.organisation.state != OrganisationState.APPROVED:
        raise NotApproved(_stands(code.organisation))
    code.agent = _create(code, message, public_key)
    code.save(update_fields=["agent"])
    return code.agent


def _stands(organisation: Organisation) -> str:
    return _("%(organisation)s is %(state)s.") % {
        "organisation": organisation,
        "state": organisation.get_state_display(),
    }


def _create(code: EnrolmentCode, message: EnrolmentIn, public_key: bytes) -> Agent:
    name = text.line(message.name, least=1, most=80)
    try:
        with transaction.atomic():
            agent = Agent.objects.create(
                organisation=code.organisation, name=name, key_id=key_id(public_key)
            )
            AgentKey.objects.create(agent=agent, public_key=public_key, key_id=agent.key_id)
    except IntegrityError as error:
        if violated(error) == "agent_names_differ":
            raise AgentNameTaken(f"{name} is another agent of {code.organisation}.") from error
        raise KeyKnown("Make a new key for a new agent.") from error
    data = {"organisation": code.organisation.name, "agent": name, "key_id": agent.key_id}
    agent.record("enrolled", actor=agent.actor, data=data)
    enqueue(Job.TELL_KEYS, str(agent.pk))
    return agent


def _proved_key(message: EnrolmentIn) -> bytes:
    """The public key, which whoever sent the message can sign with."""
    try:
        _sealer().unsign(message.nonce, max_age=NONCE_LIFE)
    except BadSeal as error:
        raise BadNonce("Get a new one and sign again.") from error
    parts = (_digest(message.code), message.public_key, message.nonce)
    return proved_key(message.public_key, PROOF_LABEL, parts, message.signature)


def proved_key(text: str, label: str, parts: Sequence[str], signature: str) -> bytes:
    """A public key in base64 as bytes, once its owner has signed the parts, for this hub.

    Raises:
        BadPublicKey: no key, or one of small order, for which anybody can sign.
        BadProof: the signature is of something else, or by another key.
    """
    try:
        public_key = base64.b64decode(text, validate=True)
        check_public_key(public_key)
    except (binascii.Error, ValueError) as error:  # BadKey is a ValueError
        raise BadPublicKey("Make another key.") from error
    origin = settings.PUBLIC_URL
    try:
        verify_bytes(public_key, label, "\n".join((origin, *parts)).encode(), signature)
    except (BadSignature, BadKey) as error:
        raise BadProof(f"Sign it with this key, for this hub: {origin}") from error
    return public_key


def _locked_code(secret: str) -> EnrolmentCode:
    """The code, locked. Its agent is read after the lock: a join would be as old as the wait."""
    code = EnrolmentCode.objects.select_for_update().filter(digest=_digest(secret)).first()
    if code is None:
        raise CodeUnknown("Copy all of it.")
    return code


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def _sealer() -> TimestampSigner:
    return TimestampSigner(salt="enrolment-nonce")
