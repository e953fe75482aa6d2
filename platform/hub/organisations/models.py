"""Organisations, the people who act for them, and the agents on their premises."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from hub.common.actors import Actor
from hub.common.models import Identified, Stateful, Transitions
from hub.organisations.entry_models import (
    Invitation,
    InvitationKind,
    InvitationState,
    Letter,
    LetterKind,
    Registration,
)
from hub.organisations.permissions import ROLES, Permission, Role

__all__ = [
    "Agent",
    "AgentKey",
    "AgentState",
    "CustomRole",
    "EnrolmentCode",
    "Invitation",
    "InvitationKind",
    "InvitationState",
    "Letter",
    "LetterKind",
    "Membership",
    "Organisation",
    "OrganisationState",
    "Registration",
    "Role",
    "UsedNonce",
]


class OrganisationState(models.TextChoices):
    PENDING = "pending", _lazy("awaiting approval")
    APPROVED = "approved", _lazy("approved")
    REFUSED = "refused", _lazy("refused")
    SUSPENDED = "suspended", _lazy("suspended")


class Organisation(Stateful):
    """A legal entity that takes part; owns its people, data and agents."""

    subject = "organisation"
    transitions: ClassVar[Transitions] = {
        OrganisationState.PENDING: {OrganisationState.APPROVED, OrganisationState.REFUSED},
        OrganisationState.APPROVED: {OrganisationState.SUSPENDED},
        OrganisationState.SUSPENDED: {OrganisationState.APPROVED},
        OrganisationState.REFUSED: set(),
    }

    state = models.CharField(
        max_length=20, choices=OrganisationState, default=OrganisationState.PENDING
    )
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120, unique=True)
    description = models.CharField(max_length=500, blank=True)
    website = models.URLField(max_length=200, blank=True)
    country = models.CharField(max_length=60, blank=True)
    contact_email = models.EmailField()
    quota_bytes = models.BigIntegerField(null=True)  # what it may store; 0: no limit, null: as all
    requires_second_factor = models.BooleanField(default=False)  # of everybody who acts for it
    members: models.ManyToManyField[models.Model, models.Model] = models.ManyToManyField(
        settings.AUTH_USER_MODEL, through="Membership", related_name="organisations"
    )

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"organisation_id": self.pk}

    @property
    def hue(self) -> int:
        """One of eight colours, the same on every page."""
        return self.pk.int % 8


class CustomRole(Identified):
    """A role that an organisation has made for itself: a name and what it may."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="custom_roles"
    )
    name = models.CharField(max_length=60)
    permissions = models.JSONField(default=list)  # of `Permission`

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["organisation", "name"], name="role_names_differ"),
        )

    def __str__(self) -> str:
        return self.name


class Membership(Identified):
    """One person's place in one organisation."""

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="memberships"
    )
    role = models.CharField(max_length=12, choices=Role)
    custom_role = models.ForeignKey(
        CustomRole, on_delete=models.PROTECT, null=True, related_name="memberships"
    )

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["user", "organisation"], name="one_role_per_person"),
            models.CheckConstraint(
                condition=models.Q(role=Role.CUSTOM, custom_role__isnull=False)
                | (~models.Q(role=Role.CUSTOM) & models.Q(custom_role__isnull=True)),
                name="custom_role_if_and_only_if_custom",
            ),
        )

    def __str__(self) -> str:
        return f"{self.user} · {self.role_name}"

    @property
    def role_name(self) -> str:
        return self.custom_role.name if self.custom_role else str(Role(self.role).label)

    @property
    def is_owner(self) -> bool:
        return self.role == Role.OWNER

    @property
    def permissions(self) -> frozenset[str]:
        """What the role carries. Needs `custom_role`."""
        return frozenset(self.custom_role.permissions) if self.custom_role else ROLES[self.role]

    def may(self, permission: Permission) -> bool:
        return permission in self.permissions


class AgentState(models.TextChoices):
    ACTIVE = "active", _lazy("active")
    REVOKED = "revoked", _lazy("revoked")
    LEFT = "left", _lazy("left")


class Agent(Stateful):
    """The organisation's program that leases and does tasks on its own hardware."""

    subject = "agent"
    transitions: ClassVar[Transitions] = {
        AgentState.ACTIVE: {AgentState.REVOKED, AgentState.LEFT},
        AgentState.REVOKED: set(),
        AgentState.LEFT: set(),
    }

    state = models.CharField(max_length=20, choices=AgentState, default=AgentState.ACTIVE)
    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="agents")
    name = models.CharField(max_length=80)
    key_id = models.CharField(max_length=64, unique=True)  # of the key it has now
    version = models.CharField(max_length=32, blank=True)
    protocol = models.CharField(max_length=16, blank=True)  # the version of it that it speaks
    device = models.CharField(max_length=120, blank=True)
    federations = models.JSONField(default=list)  # slugs it has data for, as it last said
    policy = models.JSONField(default=dict)  # its protocol.PolicySummary; empty: none was told
    last_seen_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=["organisation", "name"], name="agent_names_differ"),
        )

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"organisation_id": self.organisation_id}

    @property
    def actor(self) -> Actor:
        return Actor(
            kind="agent", id=self.pk, label=self.name, organisation_id=self.organisation_id
        )


class AgentKey(Identified):
    """A public key that an agent signs or has signed with; no key ever serves two agents."""

    agent = models.ForeignKey(Agent, on_delete=models.CASCADE, related_name="keys")
    public_key = models.BinaryField(max_length=32)
    key_id = models.CharField(max_length=64, unique=True)  # SHA-256 of the public key, hex
    expires_at = models.DateTimeField(null=True)  # set when another takes its place

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["agent"],
                condition=models.Q(expires_at__isnull=True),
                name="one_present_key_per_agent",
            ),
        )

    def __str__(self) -> str:
        return self.key_id

    @property
    def is_in_force(self) -> bool:
        """Whether requests may be signed with it, as far as the key is concerned."""
        return self.expires_at is None or timezone.now() < self.expires_at


class EnrolmentCode(Identified):
    """A one-time code that lets a new agent in; only its digest is kept."""

    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="enrolment_codes"
    )
    digest = models.CharField(max_length=64, unique=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    expires_at = models.DateTimeField()
    agent = models.OneToOneField(
        Agent, on_delete=models.PROTECT, null=True, related_name="enrolment_code"
    )  # set when spent

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return f"code for {self.organisation}"


class UsedNonce(models.Model):
    """A nonce that an agent has signed with; it opens nothing twice."""

    id = models.BigAutoField(primary_key=True)
    key_id = models.CharField(max_length=64)
    nonce = models.CharField(max_length=64)
    at = models.DateTimeField(auto_now_add=True, db_index=True)

    class Meta:
        constraints = (models.UniqueConstraint(fields=["key_id", "nonce"], name="nonce_once"),)

    def __str__(self) -> str:
        return self.nonce
