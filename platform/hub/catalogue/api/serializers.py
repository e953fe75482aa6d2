"""Shapes of base models, versions and evaluations on the wire."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from hub.catalogue.api.provenance import ProvenanceOut
from hub.catalogue.models import (
    BaseModel,
    BaseModelFile,
    Evaluation,
    LicenceAcceptance,
    MergedModel,
    ModelVersion,
    VersionCommit,
    VersionFile,
)
from hub.catalogue.versions.provenance import provenance_of
from hub.common.api.serializers import DigestField, In


class FileOut(serializers.Serializer[BaseModelFile | VersionFile]):
    path = serializers.CharField()
    sha256 = serializers.CharField(source="artifact.sha256")
    size_bytes = serializers.IntegerField(source="artifact.size_bytes")


class BaseModelOut(serializers.ModelSerializer[BaseModel]):
    repo = serializers.CharField(help_text="Its name for `from_pretrained`.")
    licence_digest = serializers.CharField(help_text="SHA-256 of the text that is accepted.")

    class Meta:
        model = BaseModel
        fields: tuple[str, ...] = (
            "id",
            "slug",
            "repo",
            "revision",
            "name",
            "description",
            "licence",
            "must_accept",
            "licence_digest",
            "source",
            "architecture",
            "parameters",
            "created_at",
        )


class BaseModelDetailOut(BaseModelOut):
    files = FileOut(many=True)

    class Meta(BaseModelOut.Meta):
        fields = (*BaseModelOut.Meta.fields, "licence_text", "files")


class AcceptanceIn(In):
    organisation = serializers.UUIDField(help_text="Yours, that accepts the licence.")
    licence_digest = DigestField(help_text="SHA-256 of the licence's text, which you have read.")


class AcceptanceOut(serializers.ModelSerializer[LicenceAcceptance]):
    accepted_by = serializers.CharField(source="accepted_by.name")
    accepted_at = serializers.DateTimeField(source="created_at")

    class Meta:
        model = LicenceAcceptance
        fields = ("base_model", "organisation", "accepted_by", "accepted_at", "licence_digest")


class VersionOut(serializers.ModelSerializer[ModelVersion]):
    repo = serializers.CharField(help_text="Its name for `from_pretrained`.")
    base_model = serializers.CharField(source="base_model.repo")
    parent_number = serializers.IntegerField(source="parent.number", default=None, allow_null=True)
    adapter = serializers.CharField(source="adapter_id", help_text="SHA-256 of its weights.")

    class Meta:
        model = ModelVersion
        fields: tuple[str, ...] = (
            "id",
            "federation",
            "number",
            "state",
            "repo",
            "revision",
            "base_model",
            "parent_number",
            "adapter",
            "rank",
            "plan_digest",
            "is_baseline",
            "created_at",
            "state_changed_at",
        )


class MergedOut(serializers.ModelSerializer[MergedModel]):
    repo = serializers.SerializerMethodField(help_text="Its name for `from_pretrained`.")

    class Meta:
        model = MergedModel
        fields = ("repo", "revision", "state", "failure_code", "failure_detail")

    def get_repo(self, merged: MergedModel) -> str:
        return f"{merged.version.repo}-merged"


class CommitOut(serializers.ModelSerializer[VersionCommit]):
    class Meta:
        model = VersionCommit
        fields = ("number", "revision", "reason", "created_at")


class VersionDetailOut(VersionOut):
    files = FileOut(many=True, help_text="Those of its newest commit.")
    commits = CommitOut(many=True, help_text="What its files were, the oldest first.")
    plan = serializers.SerializerMethodField(help_text="The frozen plan of its run.")
    contributors = serializers.SerializerMethodField(help_text="Who trained it, and its weight.")
    report = serializers.SerializerMethodField(help_text="What the aggregation said of itself.")
    provenance = serializers.SerializerMethodField(help_text="All that it was made of.")

    class Meta(VersionOut.Meta):
        fields: tuple[str, ...] = (
            *VersionOut.Meta.fields,
            "files",
            "commits",
            "plan",
            "contributors",
            "report",
            "provenance",
        )

    def get_plan(self, version: ModelVersion) -> dict[str, Any]:
        plan: dict[str, Any] = version.plan
        return plan

    @extend_schema_field({"type": "array", "items": {"type": "object"}})
    def get_contributors(self, version: ModelVersion) -> list[dict[str, Any]]:
        contributors: list[dict[str, Any]] = version.contributors
        return contributors

    @extend_schema_field(ProvenanceOut)
    def get_provenance(self, version: ModelVersion) -> dict[str, Any]:
        return asdict(provenance_of(version))

    def get_report(self, version: ModelVersion) -> dict[str, Any]:
        report: dict[str, Any] = version.report
        return report


class EvaluationOut(serializers.ModelSerializer[Evaluation]):
    federation = serializers.UUIDField(source="participation.federation_id")
    organisation = serializers.UUIDField(source="participation.organisation_id")
    organisation_name = serializers.CharField(source="participation.organisation.name")
    run = serializers.UUIDField(source="run_id")
    adapter = serializers.CharField(source="adapter_id")

    class Meta:
        model = Evaluation
        fields = (
            "id",
            "federation",
            "organisation",
            "organisation_name",
            "run",
            "round_number",
            "version",
            "adapter",
            "examples",
            "correct",
            "tokens",
            "loss_sum",
            "created_at",
        )
