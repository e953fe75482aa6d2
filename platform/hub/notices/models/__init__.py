"""Rows of notices: what people were told, by which way, and what other systems were told."""

from __future__ import annotations

from hub.notices.models.mails import Mail, MailState
from hub.notices.models.notices import Channel, Mark, Notice, NoticeSettings, Occurrence, ToldEvent
from hub.notices.models.webhooks import Attempt, Delivery, DeliveryState, Webhook, WebhookState

__all__ = [
    "Attempt",
    "Channel",
    "Delivery",
    "DeliveryState",
    "Mail",
    "MailState",
    "Mark",
    "Notice",
    "NoticeSettings",
    "Occurrence",
    "ToldEvent",
    "Webhook",
    "WebhookState",
]
