"""Base models on their way in, and who has accepted whose licence.

The catalogue's other models are in `models`, which names these, so that Django finds them.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Identified, Stateful, Transitions
from hub.organisations.models import Organisation


class LicenceAcceptance(Identified):
    """An organisation has accepted a base model's licence: who for it, when, which text."""

    base_model = models.ForeignKey(
        "catalogue.BaseModel", on_delete=models.CASCADE, related_name="acceptances"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, related_name="accepted_licences"
    )
    accepted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    licence_digest = models.CharField(max_length=64)

    class Meta:
        ordering = ("created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["base_model", "organisation"], name="one_acceptance_per_organisation"
            ),
        )

    def __str__(self) -> str:
        return f"{self.organisation} accepts {self.base_model.licence}"


class DraftState(models.TextChoices):
    OPEN = "open", _lazy("takes files")
    FETCHING = "fetching", _lazy("being fetched")
    REGISTERED = "registered", _lazy("registered")
    FAILED = "failed", _lazy("failed")
    CLOSED = "closed", _lazy("given up")


class BaseModelDraft(Stateful):
    """A base model on its way in: a person sends its files, or a job fetches them from a hub."""

    subject = "base_model"
    transitions: ClassVar[Transitions] = {
        DraftState.OPEN: {DraftState.REGISTERED, DraftState.CLOSED},
        DraftState.FETCHING: {DraftState.REGISTERED, DraftState.FAILED},
        DraftState.REGISTERED: set(),
        DraftState.FAILED: set(),
        DraftState.CLOSED: set(),
    }

    state = models.CharField(max_length=20, choices=DraftState, default=DraftState.OPEN)
    facts = models.JSONField()  # slug, name, licence, licence_text, must_accept, …
    begun_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    organisation = models.ForeignKey(
        Organisation, on_delete=models.PROTECT, null=True, related_name="+"
    )  # for which it is brought; null: by an operator
    mirror = models.JSONField(default=dict)  # endpoint, repo and revision of what is fetched
    base_model = models.ForeignKey(
        "catalogue.BaseModel", on_delete=models.PROTECT, null=True, related_name="+"
    )
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        ordering = ("-created_at",)

    def __str__(self) -> str:
        return str(self.facts["name"])

    def event_scope(self) -> dict[str, UUID | None]:
        return {"organisation_id": self.organisation_id}


class DraftFile(Identified):
    """One file of a base model on its way in: what was announced, and how much has arrived."""

    draft = models.ForeignKey(BaseModelDraft, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    parameters = models.BigIntegerField(default=0)  # how many numbers it holds
    artifact = models.ForeignKey(
        "catalogue.Artifact", on_delete=models.PROTECT, null=True, related_name="+"
    )

    class Meta:
        ordering = ("path",)
        constraints = (
            models.UniqueConstraint(fields=["draft", "path"], name="one_draft_file_per_path"),
            models.CheckConstraint(
                condition=models.Q(offset__gte=0) & models.Q(offset__lte=models.F("size_bytes")),
                name="draft_offset_within_size",
            ),
        )

    def __str__(self) -> str:
        return self.path
