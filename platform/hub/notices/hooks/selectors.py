"""Reads of webhooks and deliveries, for people whose role lets them manage them."""

from __future__ import annotations

from uuid import UUID

from django.db.models import OuterRef, QuerySet, Subquery

from hub.accounts.models import User
from hub.common.errors import NotFound
from hub.notices.models import Attempt, Delivery, Webhook, WebhookState
from hub.organisations.models import Membership
from hub.organisations.permissions import Permission, granting
from hub.organisations.selectors import require_permission


def webhooks_managed_by(user: User) -> QuerySet[Webhook]:
    """Those that are there, of the organisations in which the person's role allows it."""
    able = Membership.objects.filter(granting(Permission.MANAGE_WEBHOOKS), user=user)
    held = Webhook.objects.filter(organisation__in=able.values("organisation"))
    held = held.exclude(state=WebhookState.REMOVED)
    return held.select_related("organisation").order_by("created_at", "pk")


def deliveries_managed_by(user: User) -> QuerySet[Delivery]:
    """The newest first, each with what the last attempt came to."""
    last = Attempt.objects.filter(delivery=OuterRef("pk")).order_by("-id")
    return (
        Delivery.objects.filter(webhook__in=webhooks_managed_by(user).order_by())
        .select_related("event", "webhook")
        .annotate(
            last_at=Subquery(last.values("at")[:1]),
            last_status=Subquery(last.values("status")[:1]),
            last_failure=Subquery(last.values("failure")[:1]),
            last_ms=Subquery(last.values("took_ms")[:1]),
            last_bytes=Subquery(last.values("answer_bytes")[:1]),
        )
        .order_by("-created_at", "-id")
    )


def require_webhook(user: User, webhook_id: UUID) -> Webhook:
    """One that the person manages.

    Raises:
        NotFound: it is gone, or of an organisation that they do not act for.
        Forbidden: their role does not allow it.
    """
    present = Webhook.objects.exclude(state=WebhookState.REMOVED).select_related("organisation")
    webhook = present.filter(pk=webhook_id).first()
    if webhook is None:
        raise NotFound("no such webhook")
    require_permission(user, webhook.organisation_id, Permission.MANAGE_WEBHOOKS)
    return webhook
