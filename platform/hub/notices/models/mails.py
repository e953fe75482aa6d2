"""Letters to people: what is on its way, and what became of it."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Identified


class MailState(models.TextChoices):
    QUEUED = "queued", _lazy("queued")
    SENT = "sent", _lazy("sent")
    FAILED = "failed", _lazy("failed")
    DROPPED = "dropped", _lazy("dropped")  # nothing was left to say


class Mail(Identified):
    """One letter to one person, about the notices that name it.

    It is claimed before it is sent and recorded afterwards: a worker that is killed in between
    has it sent again, under the same Message-ID.
    """

    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="mails"
    )
    is_digest = models.BooleanField(default=False)
    state = models.CharField(max_length=8, choices=MailState, default=MailState.QUEUED)
    attempts = models.PositiveSmallIntegerField(default=0)
    next_at = models.DateTimeField()  # of the next attempt
    claimed_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=200, blank=True)  # what the server answered last

    class Meta:
        ordering = ("-created_at",)
        indexes = (
            models.Index(fields=["next_at"], name="mails_due", condition=models.Q(state="queued")),
            models.Index(fields=["created_at"], name="mails_by_age"),
        )

    def __str__(self) -> str:
        return f"mail {self.pk}"
