"""Other systems that an organisation has told: where, about what, and each delivery."""

from __future__ import annotations

from typing import ClassVar
from uuid import UUID

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _lazy

from hub.common.models import Event, Identified, Stateful, Transitions
from hub.organisations.models import Organisation


class WebhookState(models.TextChoices):
    ACTIVE = "active", _lazy("active")
    DISABLED = "disabled", _lazy("disabled")
    REMOVED = "removed", _lazy("removed")


class Webhook(Stateful):
    """An address of an organisation's that is told what happens; the secrets lie sealed."""

    subject = "webhook"
    transitions: ClassVar[Transitions] = {
        WebhookState.ACTIVE: {WebhookState.DISABLED, WebhookState.REMOVED},
        WebhookState.DISABLED: {WebhookState.ACTIVE, WebhookState.REMOVED},
        WebhookState.REMOVED: set(),
    }

    state = models.CharField(max_length=20, choices=WebhookState, default=WebhookState.ACTIVE)
    organisation = models.ForeignKey(
        Organisation, on_delete=models.CASCADE, related_name="webhooks"
    )
    name = models.CharField(max_length=80)
    url = models.CharField(max_length=500)
    kinds = models.JSONField(default=list)  # of `hub.notices.kinds`
    sealed_secret = models.BinaryField(max_length=200)
    former_secret = models.BinaryField(max_length=200, default=b"")  # sealed; signs, too, until
    former_until = models.DateTimeField(null=True)
    made_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, related_name="+"
    )
    failing_since = models.DateTimeField(null=True)  # nothing has arrived since
    failures = models.PositiveIntegerField(default=0)  # one after the other
    resting_until = models.DateTimeField(null=True)  # nothing is tried before

    class Meta:
        ordering = ("created_at",)

    def __str__(self) -> str:
        return self.name

    def event_scope(self) -> dict[str, UUID | None]:
        return {"organisation_id": self.organisation_id}


class DeliveryState(models.TextChoices):
    PENDING = "pending", _lazy("pending")
    DELIVERED = "delivered", _lazy("delivered")
    FAILED = "failed", _lazy("failed")


class Delivery(Identified):
    """One event for one webhook. Retried and replayed it is the same message."""

    webhook = models.ForeignKey(Webhook, on_delete=models.CASCADE, related_name="deliveries")
    event = models.ForeignKey(Event, on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=32)
    url = models.CharField(max_length=300)  # where people see it; a path on this hub
    state = models.CharField(max_length=10, choices=DeliveryState, default=DeliveryState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)  # since it was last asked for
    next_at = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ("-created_at",)
        constraints = (
            models.UniqueConstraint(
                fields=["webhook", "event", "kind"], name="one_delivery_per_event"
            ),
        )
        indexes = (
            models.Index(
                fields=["next_at"], name="deliveries_due", condition=models.Q(state="pending")
            ),
            models.Index(fields=["webhook", "-created_at"], name="deliveries_of_a_webhook"),
            models.Index(fields=["created_at"], name="deliveries_by_age"),
        )

    def __str__(self) -> str:
        return f"delivery {self.pk}"


class Attempt(models.Model):
    """One request to a webhook. Of the answer its status and length are kept, never its text."""

    id = models.BigAutoField(primary_key=True)
    delivery = models.ForeignKey(Delivery, on_delete=models.CASCADE, related_name="log")
    at = models.DateTimeField()
    status = models.PositiveSmallIntegerField(null=True)  # of HTTP; none where nobody answered
    took_ms = models.PositiveIntegerField()
    answer_bytes = models.PositiveIntegerField(default=0)
    failure = models.CharField(max_length=40, blank=True)  # why there was no answer

    class Meta:
        ordering = ("-id",)

    def __str__(self) -> str:
        return f"{self.status or self.failure}"
