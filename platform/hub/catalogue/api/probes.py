"""Public probe sets and what was measured on them, for people and their scripts."""

from __future__ import annotations

import json
from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.evaluation import probes, scoring
from hub.catalogue.models import Probe, ProbeScore
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In, ParagraphsField, TextField
from hub.common.api.views import ApiViewSet, ReadingViewSet

SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
SMALL = OpenApiExample(
    "Two requests",
    value={
        "federation": SOME_ID,
        "examples": [
            {"text": "my card was swallowed", "label": "card"},
            {"text": "how much is in my account", "label": "balance"},
        ],
        "statement": "Made up by the lead; nobody's words are in it.",
        "licence": "CC0-1.0",
    },
    request_only=True,
)


class ProbeIn(In):
    """A probe set: the rows of its file, and where they come from."""

    federation = serializers.UUIDField()
    examples = serializers.ListField(
        child=serializers.DictField(),
        help_text="All with the same fields: text and label, text, prompt and text, or messages.",
    )
    statement = ParagraphsField(max_length=probes.MOST_STATEMENT)
    licence = TextField(max_length=probes.MOST_LICENCE)


class ProbeOut(serializers.ModelSerializer[Probe]):
    artifact = serializers.CharField(
        source="artifact_id", help_text="SHA-256; the examples are at /api/v1/blobs/{sha256}."
    )
    size_bytes = serializers.IntegerField(source="artifact.size_bytes")
    labels = serializers.SerializerMethodField(help_text="How often each is given.")
    uploaded_by = serializers.CharField(source="uploaded_by.name")

    class Meta:
        model = Probe
        fields = (
            "id",
            "federation",
            "number",
            "artifact",
            "size_bytes",
            "form",
            "rows",
            "labels",
            "statement",
            "licence",
            "uploaded_by",
            "created_at",
        )

    @extend_schema_field({"type": "object", "additionalProperties": {"type": "integer"}})
    def get_labels(self, probe: Probe) -> dict[str, int]:
        labels: dict[str, int] = probe.labels
        return labels


class ProbeFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")

    class Meta:
        model = Probe
        fields = ("federation", "number")


class ProbeViewSet(ApiViewSet[Probe]):
    """Examples that all members of a federation may read; the newest set is in use."""

    permission_classes = (IsPerson,)
    serializer_class = ProbeOut
    filterset_class = ProbeFilter

    def get_queryset(self) -> QuerySet[Probe]:
        return probes.probes_visible_to(self.person)

    @extend_schema(request=ProbeIn, responses={201: ProbeOut}, examples=[SMALL])
    def create(self, request: Request) -> Response:
        """Put a new probe set in use; for the lead. The one in use, sent again, stays."""
        body = self.validated(ProbeIn)
        rows = body.pop("examples")
        made = probes.add_probe(
            user=self.person,
            federation_id=body.pop("federation"),
            content=b"\n".join(json.dumps(row).encode() for row in rows),
            **body,
        )
        return Response(ProbeOut(made).data, status=201)


class ProbeScoreOut(serializers.ModelSerializer[ProbeScore]):
    federation = serializers.UUIDField(source="probe.federation_id")
    adapter = serializers.CharField(source="adapter_id", help_text="SHA-256 of its weights.")
    statistics = serializers.SerializerMethodField(help_text="Further sums over the examples.")

    class Meta:
        model = ProbeScore
        fields = (
            "id",
            "federation",
            "probe",
            "adapter",
            "about",
            "is_base",
            "state",
            "examples",
            "correct",
            "tokens",
            "loss_sum",
            "statistics",
            "seconds",
            "failure_code",
            "failure_detail",
            "created_at",
            "ended_at",
        )

    def get_statistics(self, score: ProbeScore) -> dict[str, Any]:
        statistics: dict[str, Any] = score.statistics
        return statistics


class ProbeScoreFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="probe__federation_id")
    probe = filters.UUIDFilter(field_name="probe_id")
    adapter = filters.CharFilter(field_name="adapter_id")

    class Meta:
        model = ProbeScore
        fields = ("federation", "probe", "adapter", "state", "is_base")


class ProbeScoreViewSet(ListModelMixin, ReadingViewSet[ProbeScore]):
    """What starts of runs and versions achieved on a probe set."""

    permission_classes = (IsPerson,)
    serializer_class = ProbeScoreOut
    filterset_class = ProbeScoreFilter

    def get_queryset(self) -> QuerySet[ProbeScore]:
        return scoring.scores_visible_to(self.person)
