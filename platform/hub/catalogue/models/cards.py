"""What goes out with a version: the keys that vouch for it, and its copies on other hubs.

The catalogue's other models are in `models`, which names these, so that Django finds them.
"""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Stateful, Transitions


class ModelKey(models.Model):
    """The public half of a key that versions are signed with; kept when another follows it."""

    key_id = models.CharField(primary_key=True, max_length=64)  # SHA-256 of the PEM
    pem = models.TextField(max_length=1000)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return self.key_id[:8]


class PushState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    COMPLETED = "completed", _lazy("completed")
    FAILED = "failed", _lazy("failed")


class Push(Stateful):
    """A version on its way to another hub, with a token that its organisation gave for this."""

    subject = "push"
    transitions: ClassVar[Transitions] = {
        PushState.QUEUED: {PushState.COMPLETED, PushState.FAILED},
        PushState.COMPLETED: set(),
        PushState.FAILED: set(),
    }

    state = models.CharField(max_length=20, choices=PushState, default=PushState.QUEUED)
    version = models.ForeignKey(
        "catalogue.ModelVersion", on_delete=models.CASCADE, related_name="pushes"
    )
    commit = models.ForeignKey(
        "catalogue.VersionCommit", on_delete=models.CASCADE, related_name="+"
    )  # what is pushed; a later commit wants a push of its own
    endpoint = models.CharField(max_length=300)
    repo = models.CharField(max_length=200)  # owner/name over there
    sealed_token = models.BinaryField(max_length=1000)  # under SECRET_KEY; empty once it has ended
    asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+"
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    claimed_until = models.DateTimeField(null=True)  # a worker is at it
    outcome = models.CharField(max_length=500, blank=True)  # the commit's address, or why not
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.CheckConstraint(
                condition=models.Q(state="queued") | models.Q(sealed_token=b""),
                name="an_ended_push_has_no_token",
            ),
        )

    def __str__(self) -> str:
        return self.repo

    def event_scope(self) -> dict[str, UUID | None]:
        """Needs `version`."""
        return {"federation_id": self.version.federation_id}
