"""Immutable bytes, who may read them, and how they come in."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Stateful, Transitions
from hub.federations.models import Federation
from hub.organisations.models import Agent

IS_SHA256 = models.Q(sha256__regex=r"^[0-9a-f]{64}$")


class Artifact(models.Model):
    """Immutable bytes, named by their SHA-256. A row exists only for bytes that are stored."""

    sha256 = models.CharField(primary_key=True, max_length=64)
    size_bytes = models.BigIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)
    taken_at = models.DateTimeField(default=timezone.now)  # when somebody last brought the bytes

    class Meta:
        constraints = (models.CheckConstraint(condition=IS_SHA256, name="named_by_sha256"),)

    def __str__(self) -> str:
        return self.sha256


class Grant(models.Model):
    """Everybody who takes part in a federation may read an artifact."""

    id = models.BigAutoField(primary_key=True)
    artifact = models.ForeignKey(Artifact, on_delete=models.CASCADE, related_name="grants")
    federation = models.ForeignKey(Federation, on_delete=models.CASCADE, related_name="grants")

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=["artifact", "federation"], name="granted_once"),
        )

    def __str__(self) -> str:
        return f"{self.artifact_id[:8]} for {self.federation_id}"


class UploadState(models.TextChoices):
    OPEN = "open", _lazy("open")
    COMPLETE = "complete", _lazy("complete")
    CLOSED = "closed", _lazy("closed")


class Upload(Stateful):
    """Bytes on their way in: announced size and digest, and how many have arrived."""

    subject = "upload"
    transitions: ClassVar[Transitions] = {
        UploadState.OPEN: {UploadState.COMPLETE, UploadState.CLOSED},
        UploadState.COMPLETE: {UploadState.CLOSED},  # when its bytes are swept
        UploadState.CLOSED: set(),
    }

    state = models.CharField(max_length=20, choices=UploadState, default=UploadState.OPEN)
    agent = models.ForeignKey(Agent, on_delete=models.PROTECT, related_name="uploads")
    task_id = models.UUIDField(db_index=True)  # a task of `runs`, a higher app
    federation = models.ForeignKey(
        Federation, on_delete=models.PROTECT, null=True, related_name="uploads"
    )  # whose quota it counts in
    sha256 = models.CharField(max_length=64)
    size_bytes = models.BigIntegerField()
    offset = models.BigIntegerField(default=0)
    received_bytes = models.BigIntegerField(null=True)  # in parts, also sent again; null: unknown
    touched_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=["task_id", "agent", "sha256"],
                condition=models.Q(state__in=["open", "complete"]),
                name="one_upload_per_content",
            ),
            models.CheckConstraint(
                condition=models.Q(offset__gte=0) & models.Q(offset__lte=models.F("size_bytes")),
                name="offset_within_size",
            ),
        )

    def __str__(self) -> str:
        return f"{self.sha256[:8]} {self.offset}/{self.size_bytes}"

    def event_scope(self) -> dict[str, UUID | None]:
        return {}
