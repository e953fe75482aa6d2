"""Agents after their enrolment: seen, renamed, revoked; and the nonces they sign with."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from federation.protocol import PolicySummary
from hub.accounts.models import User
from hub.common import text
from hub.common.actors import Actor
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.organisations.errors import AgentNameTaken, ReplayedNonce
from hub.organisations.models import Agent, AgentState, UsedNonce
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

SEEN_EVERY = timedelta(seconds=5)


def revoke_agent(*, agent_id: UUID, actor: Actor, reason: str = "") -> Agent:
    """End an agent's keys; acts on its next request. Doing it twice changes nothing.

    Its leases and uploads are closed by a job.
    """
    return _end(agent_id, AgentState.REVOKED, actor, text.line(reason, most=500))


def leave(*, agent: Agent, reason: str = "") -> Agent:
    """The agent goes for good, as its site wants it; else as if it were revoked."""
    return _end(agent.pk, AgentState.LEFT, agent.actor, text.line(reason, most=500))


@transaction.atomic
def _end(agent_id: UUID, state: AgentState, actor: Actor, reason: str) -> Agent:
    agent = locked_agent(agent_id)
    if agent.is_final:
        return agent
    names = {"organisation": agent.organisation.name, "agent": agent.name}
    agent.move_to(state, actor=actor, reason=reason, data=names)
    enqueue(Job.RETIRE_AGENT, str(agent.pk))
    enqueue(Job.TELL_KEYS, str(agent.pk))
    wake(f"organisation:{agent.organisation_id}")
    return agent


@transaction.atomic
def rename_agent(*, agent_id: UUID, name: str, user: User) -> Agent:
    """Give an agent another name within its organisation.

    Raises:
        AgentNameTaken: also by one that is revoked; the record keeps telling them apart.
    """
    agent = locked_agent(agent_id)
    require_permission(user, agent.organisation_id, Permission.MANAGE_AGENTS)
    before, agent.name = agent.name, text.line(name, least=1, most=80)
    if agent.name == before:
        return agent
    try:
        with transaction.atomic():
            agent.save(update_fields=["name"])
    except IntegrityError as error:
        raise AgentNameTaken(_("%(name)s is another agent.") % {"name": agent.name}) from error
    data = {"organisation": agent.organisation.name, "agent": agent.name, "before": before}
    agent.record("renamed", actor=user.actor, data=data)
    return agent


def touch_agent(
    *,
    agent: Agent,
    version: str,
    device: str,
    federations: Sequence[str],
    policy: PolicySummary | None = None,
    protocol: str = "",
) -> None:
    """Note that the agent was here and what it says of itself; at most every 5 s if unchanged.

    It has data also for the federations that its policy does not let it ask for now.
    """
    closed = [one.federation for one in policy.closed] if policy else []
    said = {
        "version": version,
        "protocol": protocol,
        "device": device,
        "federations": sorted({*federations, *closed}),
        "policy": policy.model_dump(mode="json") if policy else {},
    }
    is_known = all(getattr(agent, name) == value for name, value in said.items())
    last = agent.last_seen_at
    if not is_known or last is None or last < timezone.now() - SEEN_EVERY:
        Agent.objects.filter(pk=agent.pk).update(**said, last_seen_at=Now())


def spend_nonce(*, key_id: str, nonce: str) -> None:
    """Keep a nonce, so that it opens nothing a second time.

    Raises:
        ReplayedNonce: it was kept before; the unique index decides, also between processes.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO organisations_usednonce (key_id, nonce, at) "
            "VALUES (%s, %s, clock_timestamp()) ON CONFLICT DO NOTHING",
            [key_id, nonce],
        )
        if not cursor.rowcount:
            raise ReplayedNonce(_("Sign each request anew, also one that is sent again."))


def prune_nonces() -> int:
    """Delete nonces whose requests are too old to be accepted anyway; returns how many."""
    old = Now() - timedelta(seconds=settings.NONCE_SECONDS)
    return UsedNonce.objects.filter(at__lt=old).delete()[0]


def locked_agent(agent_id: UUID) -> Agent:
    agent = (
        Agent.objects.select_related("organisation")
        .select_for_update(of=("self",))
        .filter(pk=agent_id)
        .first()
    )
    if agent is None:
        raise NotFound("no such agent")
    return agent
