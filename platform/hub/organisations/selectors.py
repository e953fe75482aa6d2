"""Reads of organisations, memberships and agents, scoped to who asks."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from functools import cache
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet

from federation.signatures import key_id, public_key_of, sign_bytes
from hub.accounts.models import User
from hub.common.errors import Forbidden, NotFound
from hub.organisations.models import Agent, Membership, Organisation


@dataclass(frozen=True, slots=True)
class HubKey:
    """The hub's own key: signs receipts, and is what agents pin when they enrol."""

    private: bytes

    @property
    def public_key(self) -> str:
        """Base64 of the 32 bytes."""
        return base64.b64encode(public_key_of(self.private)).decode()

    @property
    def key_id(self) -> str:
        return key_id(public_key_of(self.private))

    def sign(self, label: str, payload: bytes) -> str:
        return sign_bytes(self.private, label, payload)


@cache
def hub_key() -> HubKey:
    return HubKey(base64.b64decode(settings.HUB_SIGNING_KEY))


def organisations_of(user: User) -> QuerySet[Organisation]:
    """Those that the person acts for, in any state."""
    return Organisation.objects.filter(memberships__user=user)


def organisations_visible_to(user: User) -> QuerySet[Organisation]:
    """The person's own; operators see all."""
    return Organisation.objects.all() if user.is_staff else organisations_of(user)


def membership_of(user: User, organisation: Organisation) -> Membership | None:
    """The person's place in the organisation, if there is one."""
    return Membership.objects.filter(user=user, organisation=organisation).first()


def require_role(user: User, organisation_id: UUID, *roles: str) -> Membership:
    """The person's membership, with one of the roles; with no roles named, any.

    Raises:
        NotFound: the person is no member, or there is no such organisation.
        Forbidden: a member with another role.
    """
    membership = (
        Membership.objects.select_related("organisation")
        .filter(user=user, organisation_id=organisation_id)
        .first()
    )
    if membership is None:
        raise NotFound("no such organisation")
    if roles and membership.role not in roles:
        raise Forbidden(f"This needs the role {' or '.join(roles)}.")
    return membership


def members_of(organisation: Organisation) -> QuerySet[Membership]:
    return organisation.memberships.select_related("user").order_by("created_at")


def agents_of(user: User) -> QuerySet[Agent]:
    """Agents of the person's organisations, revoked ones too."""
    return Agent.objects.filter(organisation__memberships__user=user).select_related("organisation")


def agent_by_key(key: str) -> Agent | None:
    """The agent that signs with this key, in any state."""
    return Agent.objects.select_related("organisation").filter(key_id=key).first()
