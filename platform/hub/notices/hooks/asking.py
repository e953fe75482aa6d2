"""Which webhooks an event is for: a delivery each, written with its notices."""

from __future__ import annotations

from django.utils import timezone

from hub.common.models import Event
from hub.notices.kinds import Kind
from hub.notices.models import Delivery, Webhook, WebhookState


def ask_for_deliveries(*, event: Event, kind: Kind, url: str) -> None:
    """Have the event delivered to webhooks of the organisations that it is for; twice is once."""
    if not kind.is_offered:
        return
    told = kind.who.organisations_of(event)
    hooks = Webhook.objects.filter(
        organisation__in=told, state=WebhookState.ACTIVE, kinds__contains=[kind.name]
    )
    now = timezone.now()
    Delivery.objects.bulk_create(
        [
            Delivery(webhook=hook, event=event, kind=kind.name, url=url, next_at=now)
            for hook in hooks
        ],
        ignore_conflicts=True,
    )
