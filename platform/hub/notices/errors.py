"""Refusals of notices and webhooks."""

from __future__ import annotations

from hub.common.errors import DomainError


class AddressRefused(DomainError):
    status = 422
    code = "webhook_address"
    title = "This address cannot be told anything."


class TooManyWebhooks(DomainError):
    code = "too_many_webhooks"
    title = "The organisation has as many webhooks as it may."


class WebhookOff(DomainError):
    code = "webhook_off"
    title = "The webhook is switched off."


class LinkUnreadable(DomainError):
    status = 404
    code = "unsubscribe_link"
    title = "This link does not say what to unsubscribe from."
