"""How an agent changes its key: the old one asks, the new one proves itself, both serve a day."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from federation.protocol import KeyIn
from federation.signatures import key_id
from hub.dispatch import Job, enqueue
from hub.organisations.errors import KeyKnown, KeyRotated, RevokedKey, TooManyKeys
from hub.organisations.models import Agent, AgentKey
from hub.organisations.services.agents import locked_agent
from hub.organisations.services.enrolment import proved_key

PROOF_LABEL: Final = "fl-rotate-v1"
OVERLAP = timedelta(hours=24)  # for what was signed with the old key and is on its way
MOST_FORMER = 4  # rotations within one overlap


@transaction.atomic
def rotate_key(*, agent: Agent, signed_by: str, message: KeyIn) -> AgentKey:
    """Give the agent a new key; returns the old one, which is good for a day more.

    `signed_by` is the key that signed the request: only the present one may name its successor,
    so that a key that was given up cannot take the agent back. The same again changes nothing,
    whichever of the two keys asks.

    Raises:
        BadPublicKey, BadProof: the new key is nobody's, or not the agent's.
        KeyRotated: another key is the present one.
        KeyKnown, TooManyKeys: the agent cannot have this key, or not now.
    """
    parts = (str(agent.pk), message.replaces, message.public_key)
    public_key = proved_key(message.public_key, PROOF_LABEL, parts, message.signature)
    held = locked_agent(agent.pk)
    if held.key_id == key_id(public_key) != message.replaces:
        return _former(held, message.replaces)
    if held.is_final:
        raise RevokedKey("Enrol the agent again, with a new key.")
    if {signed_by, message.replaces} != {held.key_id}:
        raise KeyRotated("Sign with the key that took its place.")
    return _replace(held, public_key)


def _former(agent: Agent, name: str) -> AgentKey:
    former = agent.keys.filter(key_id=name).first()
    if former is None:
        raise KeyRotated("The agent never had the key that this one replaces.")
    return former


def _replace(agent: Agent, public_key: bytes) -> AgentKey:
    if agent.keys.filter(expires_at__gt=timezone.now()).count() >= MOST_FORMER:
        raise TooManyKeys("Wait until the oldest has expired.", retry_after=3600)
    old = agent.keys.get(key_id=agent.key_id)
    old.expires_at = timezone.now() + OVERLAP
    old.save(update_fields=["expires_at"])
    agent.key_id = key_id(public_key)
    try:
        with transaction.atomic():
            AgentKey.objects.create(agent=agent, public_key=public_key, key_id=agent.key_id)
    except IntegrityError as error:
        raise KeyKnown("Make a new key.") from error
    agent.save(update_fields=["key_id"])
    data = {
        "organisation": agent.organisation.name,
        "agent": agent.name,
        "key_id": agent.key_id,
        "before": old.key_id,
        "until": old.expires_at.isoformat(timespec="seconds"),
    }
    agent.record("key_rotated", actor=agent.actor, data=data)
    enqueue(Job.TELL_KEYS, str(agent.pk))
    return old
