"""What a webhook is told, and the signatures over it (Standard Webhooks)."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from django.conf import settings
from standardwebhooks import Webhook as Signer

from hub.catalogue.sealing import unsealed
from hub.common.feed import told
from hub.notices.models import Delivery, Webhook


def message_id(delivery: Delivery) -> str:
    """The same for every attempt and every replay, so that the receiver can tell."""
    return f"msg_{delivery.pk.hex}"


def body_of(delivery: Delivery) -> str:
    """Ids and words; needs `event`."""
    event = delivery.event
    ids = {
        "subject": event.subject_id,
        "organisation": event.organisation_id,
        "federation": event.federation_id,
        "run": event.run_id,
    }
    data: dict[str, Any] = {
        "event": event.kind,
        "text": told([event])[0].sentence,
        "url": settings.PUBLIC_URL + delivery.url,
        **{name: str(pk) for name, pk in ids.items() if pk is not None},
    }
    message = {"type": delivery.kind, "timestamp": event.at.isoformat(), "data": data}
    return json.dumps(message, ensure_ascii=False)


def headers_of(delivery: Delivery, body: str, *, now: datetime) -> dict[str, str]:
    """Needs `webhook`. While a secret is being replaced, both sign. Raises BrokenSeal."""
    identity = message_id(delivery)
    signatures = [
        Signer(secret).sign(identity, now, body) for secret in secrets_of(delivery.webhook, now=now)
    ]
    return {
        "Content-Type": "application/json",
        "User-Agent": "Foedus-Webhooks/1",
        "webhook-id": identity,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def secrets_of(webhook: Webhook, *, now: datetime) -> list[str]:
    """The present one, and the one before it while that is good. Raises BrokenSeal."""
    boxes = [bytes(webhook.sealed_secret)]
    if webhook.former_until is not None and now < webhook.former_until:
        boxes.append(bytes(webhook.former_secret))
    return [unsealed(box, name=seal_of(webhook)).decode() for box in boxes]


def seal_of(webhook: Webhook) -> str:
    return f"webhook/{webhook.pk}"
