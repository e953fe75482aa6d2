"""Clearing away what nobody needs any more."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from hub.common.models import IdempotentRequest, OutboxMessage

OUTBOX_KEPT = timedelta(days=1)
ANSWERS_KEPT = timedelta(days=30)


def prune() -> None:
    """Delete outbox rows that were sent long ago, and answers that nobody will ask for again."""
    now = timezone.now()
    OutboxMessage.objects.filter(sent_at__lt=now - OUTBOX_KEPT).delete()
    IdempotentRequest.objects.filter(created_at__lt=now - ANSWERS_KEPT).delete()
