"""What enters a federation's ledger about its members: docs/contributions.md has the table.

Each function is called in the transaction of the act, and may be called again.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

from federation.ledger.entries import canonical, time_of
from hub.federations.models import (
    CharterVersion,
    DataDeclaration,
    Federation,
    Participation,
    ParticipationState,
)
from hub.federations.selectors import declaration_of
from hub.ledger.models import Entry, EntryType
from hub.ledger.services import append
from hub.organisations.models import Agent, AgentKey, AgentState

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TOLD = (EntryType.KEY_ENROLLED, EntryType.KEY_ROTATED)  # with the public key
ENDS = {
    ParticipationState.LEFT: EntryType.PARTICIPATION_LEFT,
    ParticipationState.EXPELLED: EntryType.PARTICIPATION_EXPELLED,
}


def digest_of(text: str) -> str | None:
    """What people wrote stays out of the ledger; its SHA-256 lets them prove what it was."""
    return hashlib.sha256(text.encode()).hexdigest() if text else None


def tell_founded(federation: Federation, lead: Participation) -> None:
    append(
        ledger=federation.pk,
        type=EntryType.FEDERATION_FOUNDED,
        key=f"federation:{federation.pk}",
        payload={
            "federation": str(federation.pk),
            "base_model": str(federation.base_model_id),
            "charter_digest": federation.charter_digest,
            "lead": str(lead.pk),
            "since": None,
        },
    )


def tell_admitted(place: Participation) -> None:
    """That an organisation takes part: with which signature, which keys, and which data."""
    tell_signed(place)
    append(
        ledger=place.federation_id,
        type=EntryType.PARTICIPATION_ADMITTED,
        key=f"participation:{place.pk}:admitted:{micros(place.state_changed_at)}",
        payload={**who(place), "standing": place.standing},
    )
    tell_keys(place)
    if declared := declaration_of(place.pk):
        tell_declared(declared, place)


def tell_signed(place: Participation) -> None:
    """The newest signature of a member."""
    append(
        ledger=place.federation_id,
        type=EntryType.CHARTER_SIGNED,
        key=f"charter:{place.pk}:{micros(place.signed_at)}",
        payload={
            **who(place),
            "charter_digest": place.charter_digest,
            "signed_at": time_of(place.signed_at),
        },
    )


def tell_published(version: CharterVersion) -> None:
    """Another text is in force."""
    append(
        ledger=version.federation_id,
        type=EntryType.CHARTER_PUBLISHED,
        key=f"charter:{version.pk}",
        payload={
            "number": version.number,
            "charter_digest": version.digest,
            "proposal": str(version.proposal) if version.proposal else None,
        },
    )


def tell_policy(federation: Federation, proposal: UUID | None) -> None:
    """Other rules are in force; what they are, people have."""
    agreed = {
        "policy": federation.policy,
        "is_listed": federation.is_listed,
        "largest_update_bytes": federation.largest_update_bytes,
    }
    append(
        ledger=federation.pk,
        type=EntryType.POLICY_CHANGED,
        key=f"policy:{proposal or uuid4()}",
        payload={
            "policy_sha256": digest_of(canonical(agreed)),
            "proposal": str(proposal) if proposal else None,
        },
    )


def tell_ended(place: Participation, reason: str) -> None:
    """`place` has left just now, or was expelled."""
    append(
        ledger=place.federation_id,
        type=ENDS[ParticipationState(place.state)],
        key=f"participation:{place.pk}:ended:{micros(place.state_changed_at)}",
        payload={**who(place), "reason_sha256": digest_of(reason)},
    )


def tell_declared(declared: DataDeclaration, place: Participation) -> None:
    append(
        ledger=place.federation_id,
        type=EntryType.DATA_DECLARED,
        key=f"data:{declared.pk}",
        payload={
            **who(place),
            "number": declared.number,
            "train_examples": declared.train_examples,
            "test_examples": declared.test_examples,
        },
    )


def tell_keys(place: Participation) -> None:
    """All keys of the organisation's agents, and what became of them."""
    for agent in place.organisation.agents.order_by("created_at", "pk"):
        tell_keys_of(agent, place)


def tell_keys_of(agent: Agent, place: Participation) -> None:
    """An agent's keys in the ledger of a federation: enrolled, in place of another, revoked."""
    keys = list(agent.keys.order_by("created_at", "pk"))
    for key in keys[:1]:
        _append_key(EntryType.KEY_ENROLLED, key, agent, place, _life(key))
    for before, key in pairwise(keys):
        replaced = {"replaces": before.key_id, "replaced_until": _time(before.expires_at)}
        _append_key(EntryType.KEY_ROTATED, key, agent, place, {**_life(key), **replaced})
    if agent.state == AgentState.ACTIVE:
        return
    for key in _in_force(keys, agent.state_changed_at):
        until = {"valid_until": _time(agent.state_changed_at)}
        _append_key(EntryType.KEY_REVOKED, key, agent, place, until)


def is_told(key_id: str, place: Participation) -> bool:
    """Whether the ledger knows the key, so that a statement signed with it can be checked."""
    names = [f"key:{kind.value}:{key_id}" for kind in TOLD]
    return Entry.objects.filter(ledger=place.federation_id, key__in=names).exists()


def _append_key(
    kind: EntryType, key: AgentKey, agent: Agent, place: Participation, also: dict[str, str | None]
) -> None:
    append(
        ledger=place.federation_id,
        type=kind,
        key=f"key:{kind.value}:{key.key_id}",
        payload={**who(place), "agent": str(agent.pk), "key_id": key.key_id, **also},
    )


def _life(key: AgentKey) -> dict[str, str | None]:
    public_key = b64encode(bytes(key.public_key)).decode()
    return {"public_key": public_key, "valid_from": _time(key.created_at)}


def _in_force(keys: list[AgentKey], at: datetime) -> Iterator[AgentKey]:
    return (key for key in keys if key.expires_at is None or key.expires_at > at)


def who(place: Participation) -> dict[str, str]:
    return {"participation": str(place.pk), "organisation": str(place.organisation_id)}


def _time(at: datetime | None) -> str | None:
    return time_of(at) if at else None


def micros(at: datetime) -> int:
    """Tells acts of one place apart; as exact as the database keeps times."""
    return (at - EPOCH) // timedelta(microseconds=1)
