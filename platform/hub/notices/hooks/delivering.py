"""Deliveries on their way: claimed, sent, recorded; tried again for about a day.

An endpoint that fails rests before anything else is sent to it, so that one that is slow or gone
holds up nobody. What has failed for days is switched off, and its people are told.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from http import HTTPStatus

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from hub.catalogue.sealing import BrokenSeal
from hub.common.actors import HUB
from hub.notices.errors import AddressRefused
from hub.notices.hooks.addresses import target_of
from hub.notices.hooks.messages import body_of, headers_of
from hub.notices.hooks.sending import Answer, post
from hub.notices.models import Attempt, Delivery, DeliveryState, Webhook, WebhookState

logger = logging.getLogger(__name__)

CLAIM = timedelta(seconds=60)  # several times what one request may take
PAUSES: Sequence[int] = (10, 60, 300, 1800, 3600, 7200, 14400, 28800, 28800)  # seconds
LONGEST_REST = 3600
KEPT = timedelta(days=30)


def deliveries_are_due() -> bool:
    return _due(timezone.now()).exists()


def deliver_due(*, seconds: float = 60.0) -> int:
    """Send what is due, for at most about so long; returns how many were taken."""
    until, taken = time.monotonic() + seconds, 0
    while time.monotonic() < until and (delivery := _claim()) is not None:
        answer = _answer(delivery)
        _record(delivery, answer)
        taken += answer.is_taken
    return taken


def forget_deliveries() -> None:
    """Let go of deliveries, with their attempts, after a month."""
    Delivery.objects.filter(created_at__lt=timezone.now() - KEPT).delete()


def _due(now: datetime) -> QuerySet[Delivery]:
    free = Q(claimed_until__isnull=True) | Q(claimed_until__lt=now)
    rested = Q(webhook__resting_until__isnull=True) | Q(webhook__resting_until__lte=now)
    return Delivery.objects.filter(
        free,
        rested,
        state=DeliveryState.PENDING,
        next_at__lte=now,
        webhook__state=WebhookState.ACTIVE,
    )


@transaction.atomic
def _claim() -> Delivery | None:
    now = timezone.now()
    held = _due(now).select_for_update(of=("self",), skip_locked=True)
    delivery = held.select_related("webhook", "event").order_by("next_at", "pk").first()
    if delivery is not None:
        delivery.attempts, delivery.claimed_until = delivery.attempts + 1, now + CLAIM
        delivery.save(update_fields=["attempts", "claimed_until"])
    return delivery


def _answer(delivery: Delivery) -> Answer:
    try:
        target = target_of(delivery.webhook.url)  # each time: names move
        body = body_of(delivery)
        headers = headers_of(delivery, body, now=timezone.now())
    except AddressRefused:
        return Answer(None, 0, failure="address_refused")
    except BrokenSeal:  # the hub's SECRET_KEY is another one since
        return Answer(None, 0, failure="secret_unreadable")
    return post(target, body=body.encode(), headers=headers)


@transaction.atomic
def _record(claimed: Delivery, answer: Answer) -> None:
    """What became of it; who has lost the claim meanwhile only adds to the log."""
    now = timezone.now()
    Attempt.objects.create(
        delivery=claimed,
        at=now,
        status=answer.status,
        took_ms=answer.took_ms,
        answer_bytes=answer.length,
        failure=answer.failure,
    )
    held = Delivery.objects.select_for_update().filter(
        pk=claimed.pk, attempts=claimed.attempts, state=DeliveryState.PENDING
    )
    delivery = held.first()
    if delivery is None:
        return
    delivery.claimed_until = None
    if answer.is_taken:
        delivery.state, delivery.ended_at = DeliveryState.DELIVERED, now
    elif delivery.attempts > len(PAUSES):
        delivery.state, delivery.ended_at = DeliveryState.FAILED, now
    else:
        delivery.next_at = now + timedelta(seconds=PAUSES[delivery.attempts - 1])
    delivery.save(update_fields=["state", "ended_at", "claimed_until", "next_at"])
    _remember(claimed.webhook, answer, now)


def _remember(hook: Webhook, answer: Answer, now: datetime) -> None:
    """How the endpoint does: rested when it fails, switched off when it has for days."""
    webhook = Webhook.objects.select_for_update().get(pk=hook.pk)
    if answer.is_taken:
        if webhook.failures:
            webhook.failures, webhook.failing_since, webhook.resting_until = 0, None, None
            webhook.save(update_fields=["failures", "failing_since", "resting_until"])
        return
    webhook.failures += 1
    webhook.failing_since = webhook.failing_since or now
    rest = min(PAUSES[0] * 2 ** min(webhook.failures - 1, 16), LONGEST_REST)
    webhook.resting_until = now + timedelta(seconds=rest)
    webhook.save(update_fields=["failures", "failing_since", "resting_until"])
    if webhook.state == WebhookState.ACTIVE and (why := _reason_to_stop(webhook, answer, now)):
        logger.warning("webhook off", extra={"webhook": str(webhook.pk), "cause": why})
        webhook.move_to(WebhookState.DISABLED, actor=HUB, reason=why, data={"name": webhook.name})


def _reason_to_stop(webhook: Webhook, answer: Answer, now: datetime) -> str:
    if answer.status == HTTPStatus.GONE:
        return "its server answered that it is gone for good"
    days = settings.WEBHOOK_FAILING_DAYS
    since = webhook.failing_since
    if since is not None and now - since >= timedelta(days=days):
        return f"nothing has arrived for {days} days"
    return ""
