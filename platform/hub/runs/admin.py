from __future__ import annotations

from django.contrib import admin

from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state
from hub.runs.models import Round, Run, Task, Update


class RoundInline(ReadOnlyInline):
    model = Round
    fk_name = "run"
    fields = ("number", "state", "deadline_at", "version", "summary", "opened")


class TaskInline(ReadOnlyInline):
    model = Task
    fields = ("participation", "type", "state", "agent", "attempts", "lease_expires_at", "opened")


class UpdateInline(ReadOnlyInline):
    model = Update
    fk_name = "round"
    fields = ("participation", "state", "examples", "verdict_code", "norm", "opened")


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        linked("federation"),
        state,
        "purpose",
        linked("created_by", "started by"),
        moment("started_at", "started"),
        moment("ended_at", "ended"),
    )
    list_select_related = ("federation", "created_by")
    list_filter = ("state", "purpose", "federation")
    search_fields = ("name", "federation__name", "plan_digest", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (RoundInline,)
    fields = (
        ("name", "number"),
        ("state", "failure_code"),
        ("federation", "purpose"),
        ("created_by", "created_at"),
        ("started_at", "ended_at"),
        ("parent_version", "start"),
        "plan",
        "plan_digest",
        ("trainers", "evaluators"),
    )


@admin.register(Round)
class RoundAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("run"),
        state,
        moment("deadline_at", "deadline"),
        moment("claimed_until"),
        "attempts",
        linked("version"),
    )
    list_select_related = ("run", "version")
    list_filter = ("state",)
    search_fields = ("run__name", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (TaskInline, UpdateInline)
    fields = (
        ("run", "number"),
        ("state", "failure_code"),
        "summary",
        ("created_at", "deadline_at"),
        ("state_changed_at", "ended_at"),
        ("start", "version"),
        ("attempts", "fence"),
        "claimed_until",
        "frozen",
    )


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = (
        "type",
        state,
        linked("round__run"),
        linked("round"),
        linked("participation__organisation"),
        linked("agent"),
        "attempts",
        moment("lease_expires_at", "lease until"),
    )
    list_select_related = ("round__run", "participation__organisation", "agent")
    list_filter = ("state", "type")
    search_fields = ("round__run__name", "participation__organisation__name", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        ("type", "state"),
        ("round", "participation"),
        ("agent", "attempts"),
        ("leased_at", "lease_expires_at"),
        ("fence", "ended_at"),
        ("failure_code", "failure_detail"),
        "progress",
    )


@admin.register(Update)
class UpdateAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        state,
        linked("round__run"),
        linked("round"),
        linked("participation__organisation"),
        "examples",
        "norm",
        "verdict_code",
        moment("created_at", "received"),
    )
    list_select_related = ("round__run", "participation__organisation")
    list_filter = ("state", "is_late", "verdict_code")
    search_fields = (
        "artifact__sha256",
        "round__run__name",
        "participation__organisation__name",
        "id__exact",
    )
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    fields = (
        ("round", "participation"),
        ("task", "agent"),
        ("state", "verdict_code"),
        ("artifact", "is_late"),
        ("rank", "norm"),
        ("examples", "tokens"),
        ("steps", "device_seconds"),
        "receipt",
    )
