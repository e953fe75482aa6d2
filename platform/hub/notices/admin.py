"""What operators see of letters and webhooks: how they fare, not what they say."""

from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, linked, moment, state
from hub.notices.models import Delivery, Mail, Webhook


@admin.register(Mail)
class MailAdmin(ReadOnlyAdmin):
    list_display = (
        linked("user"),
        state,
        "is_digest",
        "attempts",
        "outcome",
        moment("created_at", "written"),
        moment("next_at", "next try"),
    )
    list_select_related = ("user",)
    list_filter = ("state", "is_digest")
    search_fields = ("user__email", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Webhook)
class WebhookAdmin(ReadOnlyAdmin):
    """Secrets are sealed, and shown to nobody; nor is what may be one in the address."""

    list_display = (
        "name",
        linked("organisation"),
        state,
        "failures",
        moment("failing_since", "failing since"),
        moment("created_at", "made"),
    )
    list_select_related = ("organisation",)
    list_filter = ("state",)
    search_fields = ("name", "organisation__name", "id__exact")
    exclude = ("sealed_secret", "former_secret", "url")
    ordering = ("-created_at",)


@admin.register(Delivery)
class DeliveryAdmin(ReadOnlyAdmin):
    list_display = (
        linked("webhook"),
        "kind",
        state,
        "attempts",
        moment("created_at", "asked"),
        moment("next_at", "next try"),
    )
    list_select_related = ("webhook",)
    list_filter = ("state", "kind")
    search_fields = ("webhook__name", "id__exact")
    raw_id_fields = ("event",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
