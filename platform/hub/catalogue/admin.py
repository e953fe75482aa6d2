from __future__ import annotations

from django.contrib import admin

from hub.catalogue.models import (
    Alias,
    Artifact,
    BaseModel,
    BaseModelDraft,
    BaseModelFile,
    DraftFile,
    Evaluation,
    GateResult,
    LicenceAcceptance,
    ModelVersion,
    Probe,
    ProbeScore,
    Push,
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


class GateResultInline(ReadOnlyInline):
    model = GateResult
    fk_name = "version"
    fields = ("gate", "verdict", "blocks", "against", "judged_at")
    readonly_fields = ("judged_at",)
    verbose_name_plural = "gates"


class DraftFileInline(ReadOnlyInline):
    model = DraftFile
    fields = ("path", "size_bytes", "offset", "sha256")
    verbose_name_plural = "files"


class LicenceAcceptanceInline(ReadOnlyInline):
    model = LicenceAcceptance
    fields = ("organisation", "accepted_by", "created_at", "opened")
    readonly_fields = ("created_at", "opened")
    verbose_name_plural = "who has accepted the licence"


class ProbeScoreInline(ReadOnlyInline):
    model = ProbeScore
    fields = ("about", "state", "examples", "correct", "loss_sum", "seconds", "failure_code")
    verbose_name_plural = "measurements"


class EvaluationInline(ReadOnlyInline):
    model = Evaluation
    fields = ("participation", "round_number", "opened")


@admin.register(BaseModel)
class BaseModelAdmin(ReadOnlyAdmin):
    list_display = ("name", "architecture", "parameters", "licence", moment("created_at", "added"))
    list_filter = ("licence", "architecture")
    search_fields = ("name", "slug", "revision", "id__exact")
    date_hierarchy = "created_at"
    inlines = (BaseModelFileInline, LicenceAcceptanceInline)


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
    inlines = (VersionCommitInline, GateResultInline, EvaluationInline)


@admin.register(Artifact)
class ArtifactAdmin(ReadOnlyAdmin):
    list_display = ("sha256", "size_bytes", moment("created_at", "stored"))
    search_fields = ("sha256",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Evaluation)
class EvaluationAdmin(ReadOnlyAdmin):
    """That there is one; its figures are for the members."""

    fields = ("participation", "version", "run_id", "round_number", "created_at")
    list_display = (
        "__str__",
        linked("participation"),
        linked("version"),
        "round_number",
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


@admin.register(BaseModelDraft)
class BaseModelDraftAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        state,
        linked("organisation"),
        linked("begun_by"),
        linked("base_model"),
        moment("touched_at", "last file"),
    )
    list_select_related = ("organisation", "begun_by", "base_model")
    list_filter = ("state",)
    search_fields = ("facts__name", "facts__slug", "organisation__name", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (DraftFileInline,)


@admin.register(LicenceAcceptance)
class LicenceAcceptanceAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("base_model"),
        linked("organisation"),
        linked("accepted_by"),
        moment("created_at", "accepted"),
    )
    list_select_related = ("base_model", "organisation", "accepted_by")
    search_fields = ("base_model__name", "organisation__name", "licence_digest", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)


@admin.register(Probe)
class ProbeAdmin(ReadOnlyAdmin):
    list_display = (
        "__str__",
        linked("federation"),
        "form",
        "rows",
        "licence",
        linked("uploaded_by"),
        moment("created_at", "uploaded"),
    )
    list_select_related = ("federation", "uploaded_by")
    list_filter = ("form",)
    search_fields = ("federation__name", "artifact__sha256", "id__exact")
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
    inlines = (ProbeScoreInline,)


@admin.register(Alias)
class AliasAdmin(ReadOnlyAdmin):
    list_display = (
        "name",
        state,
        linked("federation"),
        linked("version"),
        moment("state_changed_at", "since"),
    )
    list_select_related = ("federation", "version")
    list_filter = ("state",)
    search_fields = ("name", "federation__name", "id__exact")
    ordering = ("-created_at",)


@admin.register(Push)
class PushAdmin(ReadOnlyAdmin):
    """Copies on other hubs; the token is sealed and shown to nobody."""

    list_display = (
        "repo",
        state,
        "endpoint",
        linked("version"),
        linked("asked_by"),
        "attempts",
        moment("created_at", "asked"),
    )
    list_select_related = ("version", "asked_by")
    list_filter = ("state", "endpoint")
    search_fields = ("repo", "version__federation__name", "id__exact")
    exclude = ("sealed_token",)
    date_hierarchy = "created_at"
    ordering = ("-created_at",)
