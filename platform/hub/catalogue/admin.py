from __future__ import annotations

from django.contrib import admin

from hub.catalogue.models import (
    Artifact,
    BaseModel,
    BaseModelFile,
    Evaluation,
    ModelVersion,
    Upload,
    VersionCommit,
)
from hub.common.console import ReadOnlyAdmin, ReadOnlyInline, linked, moment, state


class BaseModelFileInline(ReadOnlyInline):
    model = BaseModelFile
    fields = ("path", "artifact")
    verbose_name_plural = "files"


class VersionCommitInline(ReadOnlyInline):
    model = VersionCommit
    fields = ("number", "revision", "reason", "created_at")
    readonly_fields = ("created_at",)
    verbose_name_plural = "commits"


class EvaluationInline(ReadOnlyInline):
    model = Evaluation
    fields = ("participation", "round_number", "examples", "correct", "loss_sum", "opened")


@admin.register(BaseModel)
class BaseModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "architecture", "parameters", "licence", moment("created_at", "added"))
    list_filter = ("licence", "architecture")
    search_fields = ("name", "slug", "revision", "id__exact")
    date_hierarchy = "created_at"
    inlines = (BaseModelFileInline,)


@admin.register(ModelVersion)
class ModelVersionAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("federation"),
        state,
        linked("parent"),
        "rank",
        "is_baseline",
        moment("created_at", "made"),
    )
    list_select_related = ("federation", "parent")
    list_filter = ("state", "is_baseline", "federation")
    search_fields = ("federation__name", "adapter__sha256", "revision", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (VersionCommitInline, EvaluationInline)


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "size_bytes", moment("created_at", "stored"))
    search_fields = ("sha256",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("participation"),
        linked("version"),
        "round_number",
        "examples",
        "correct",
        "loss_sum",
        moment("created_at", "recorded"),
    )
    list_select_related = ("participation__organisation", "participation__federation", "version")
    search_fields = ("run_id__exact", "participation__organisation__name")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Upload)
class UploadAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("agent"),
        state,
        "size_bytes",
        "offset",
        moment("touched_at", "last part"),
    )
    list_select_related = ("agent",)
    list_filter = ("state",)
    search_fields = ("sha256", "task_id__exact", "agent__name", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
