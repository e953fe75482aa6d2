"""Refusals of notices and webhooks."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _noop

from hub.common.errors import DomainError


class AddressRefused(DomainError):
    status = 422
    code = "webhook_address"
    title = _noop("This address cannot be told anything.")


class TooManyWebhooks(DomainError):
    code = "too_many_webhooks"
    title = _noop("The organisation has as many webhooks as it may.")


class WebhookOff(DomainError):
    code = "webhook_off"
    title = _noop("The webhook is switched off.")


class LinkUnreadable(DomainError):
    status = 404
    code = "unsubscribe_link"
    title = _noop("This link does not say what to unsubscribe from.")
