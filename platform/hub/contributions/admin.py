from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state
from hub.contributions.models import Answer, Case, ContributionFact, Valuation, Value


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


class ValueInline(ReadOnlyInline):
    model = Value
    fields = ("participation", "phi", "low", "high")
    verbose_name_plural = "values"


@admin.register(Valuation)
class ValuationAdmin(ReadOnlyAdmin):
    list_display = (
        linked("round__run"),
        linked("round"),
        "number",
        "method",
        state,
        "evaluations",
        "seconds",
        moment("ended_at", "ended"),
    )
    list_select_related = ("round__run",)
    list_filter = ("state", "method", "is_planned")
    search_fields = ("round__run__name", "seed", "id__exact")
    ordering = ("-created_at",)
    fields = (
        "round",
        "number",
        "state",
        "method",
        "spec",
        "seed",
        "probe",
        "deadline_at",
        "evaluations",
        "seconds",
        "worth",
        "gap",
        "attempts",
        "failure_code",
        "failure_detail",
        "ended_at",
    )
    inlines = (ValueInline,)


class AnswerInline(ReadOnlyInline):
    model = Answer
    fields = ("participation", "by", "at")
    readonly_fields = ("at",)
    verbose_name_plural = "answers"


@admin.register(Case)
class CaseAdmin(ReadOnlyAdmin):
    list_display = (
        "kind",
        linked("federation"),
        linked("run"),
        linked("round"),
        state,
        moment("created_at", "opened"),
    )
    list_select_related = ("federation", "run", "round")
    list_filter = ("state", "kind")
    search_fields = ("run__name", "federation__name", "id__exact")
    ordering = ("-created_at",)
    fields = (
        "federation",
        "run",
        "round",
        "kind",
        "state",
        "participations",
        "reason",
        "decided_by",
    )
    inlines = (AnswerInline,)
