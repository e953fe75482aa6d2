"""Federations and the organisations' places in them."""

from __future__ import annotations

import hashlib
import json
from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Event, Identified, Stateful, Transitions
from hub.federations.policies import Policy, former_policy
from hub.organisations.models import Organisation


class FederationState(models.TextChoices):
    ACTIVE = "active", _lazy("active")
    PAUSED = "paused", _lazy("paused")
    DISSOLVED = "dissolved", _lazy("dissolved")


class Federation(Stateful):
    """Organisations that agreed to train together from one base model under one charter."""

    subject = "federation"
    transitions: ClassVar[Transitions] = {
        FederationState.ACTIVE: {FederationState.PAUSED, FederationState.DISSOLVED},
        FederationState.PAUSED: {FederationState.ACTIVE, FederationState.DISSOLVED},
        FederationState.DISSOLVED: set(),
    }

    state = models.CharField(max_length=20, choices=FederationState, default=FederationState.ACTIVE)
    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    purpose = models.CharField(max_length=1000, blank=True)
    intended_use = models.TextField(max_length=4000, blank=True)  # for the cards of its versions
    limits = models.TextField(max_length=4000, blank=True)
    charter = models.TextField(max_length=50_000)  # in force; `CharterVersion` has all
    charter_number = models.PositiveIntegerField(default=1)
    # Named by string: the catalogue is a higher app, and only the database follows this arrow.
    base_model = models.ForeignKey(
        "catalogue.BaseModel", on_delete=models.PROTECT, related_name="federations"
    )
    is_listed = models.BooleanField(
        "listed", default=True, help_text=_lazy("Other organisations can find it and ask to join.")
    )
    largest_update_bytes = models.BigIntegerField(default=2**30)
    policy = models.JSONField(default=former_policy)  # of `Policy`

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.pk}

    @property
    def is_paused(self) -> bool:
        """By an operator: no work is handed out, no round opens, nobody joins."""
        return self.state == FederationState.PAUSED

    @property
    def pause(self) -> Event | None:
        """What paused it last: who, when and why. A query."""
        return Event.objects.filter(subject_id=self.pk, kind="federation.paused").last()

    @property
    def typed_policy(self) -> Policy:
        return Policy.model_validate_json(json.dumps(self.policy))

    @property
    def charter_digest(self) -> str:
        return hashlib.sha256(self.charter.encode()).hexdigest()


class ParticipationState(models.TextChoices):
    REQUESTED = "requested", _lazy("asks to join")
    ACTIVE = "active", _lazy("active")
    SUSPENDED = "suspended", _lazy("suspended")
    REFUSED = "refused", _lazy("refused")
    LEFT = "left", _lazy("left")
    EXPELLED = "expelled", _lazy("expelled")


class Standing(models.TextChoices):
    LEAD = "lead", _lazy("Lead")
    CONTRIBUTOR = "contributor", _lazy("Contributor")
    OBSERVER = "observer", _lazy("Observer")


class Participation(Stateful):
    """One organisation's place in one federation: standing, rank, signature, state."""

    subject = "participation"
    transitions: ClassVar[Transitions] = {
        ParticipationState.REQUESTED: {
            ParticipationState.ACTIVE,
            ParticipationState.REFUSED,
            ParticipationState.LEFT,
        },
        ParticipationState.ACTIVE: {
            ParticipationState.SUSPENDED,
            ParticipationState.LEFT,
            ParticipationState.EXPELLED,
        },
        ParticipationState.SUSPENDED: {
            ParticipationState.ACTIVE,
            ParticipationState.LEFT,
            ParticipationState.EXPELLED,
        },
        ParticipationState.REFUSED: {ParticipationState.REQUESTED},
        ParticipationState.LEFT: {ParticipationState.REQUESTED},
        ParticipationState.EXPELLED: set(),
    }

    state = models.CharField(
        max_length=20, choices=ParticipationState, default=ParticipationState.REQUESTED
    )
    federation = models.ForeignKey(
        Federation, on_delete=models.PROTECT, related_name="participations"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="participations"
    )
    standing = models.CharField(max_length=12, choices=Standing, default=Standing.CONTRIBUTOR)
    rank = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text=_lazy("Largest adapter rank it trains; empty: the plan's.")
    )
    data_statement = models.TextField(max_length=4000, blank=True)  # its own words on its data
    # The organisation's newest signature under the charter: who, when, which text.
    charter_digest = models.CharField(max_length=64)
    charter_number = models.PositiveIntegerField(default=1)
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    signed_at = models.DateTimeField()
    # The wish to leave once the round that it trains in has ended: since when, whose, and why.
    leaving_since = models.DateTimeField(null=True, blank=True)
    leaving_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    leaving_reason = models.CharField(max_length=500, blank=True)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["federation", "organisation"], name="one_place_per_organisation"
            ),
            models.CheckConstraint(
                condition=models.Q(rank__isnull=True) | models.Q(rank__range=(1, 256)),
                name="rank_between_1_and_256",
            ),
            models.CheckConstraint(
                condition=models.Q(leaving_since__isnull=True)
                | models.Q(state__in=["active", "suspended"], leaving_by__isnull=False),
                name="only_who_takes_part_is_leaving",
            ),
        )

    def __str__(self) -> str:
        return f"{self.organisation} in {self.federation}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {"federation_id": self.federation_id, "organisation_id": self.organisation_id}

    @property
    def is_lead(self) -> bool:
        return self.standing == Standing.LEAD


class DataDeclaration(Identified):
    """How many examples an organisation has for a federation, at most; an owner has signed it.

    The newest is in force. A change is a new one, and all of them stay.
    """

    participation = models.ForeignKey(
        Participation, on_delete=models.PROTECT, related_name="declarations"
    )
    number = models.PositiveIntegerField()  # within the participation, from 1
    train_examples = models.PositiveIntegerField()
    test_examples = models.PositiveIntegerField()
    signed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(
                fields=["participation", "number"], name="declaration_numbers_differ"
            ),
        )

    def __str__(self) -> str:
        return f"{self.train_examples} to train on, {self.test_examples} to test on"
