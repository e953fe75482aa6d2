from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, linked, moment
from hub.contributions.models import ContributionFact


@admin.register(ContributionFact)
class ContributionFactAdmin(ReadOnlyAdmin):
    list_display = (
        linked("participation__organisation"),
        linked("round__run"),
        linked("round"),
        "outcome",
        "examples",
        "device_seconds",
        "weight",
        moment("at", "recorded"),
    )
    list_select_related = ("participation__organisation", "round__run")
    list_filter = ("outcome",)
    search_fields = ("participation__organisation__name", "round__run__name")
    date_hierarchy = "at"
    ordering = ("-id",)
