"""The record for programs: to list, to look up, and to take out whole."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from django.http import StreamingHttpResponse
from django_filters import rest_framework as filters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request

from hub.audit import services
from hub.audit.exporting import Format
from hub.audit.selectors import Question, readable_by
from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiView, ApiViewSet, ReadingViewSet
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.federations.models import Signature


class AuditEventOut(serializers.ModelSerializer[Event]):
    sentence = serializers.SerializerMethodField()
    details = serializers.JSONField(source="data", help_text="What else was kept of it.")

    class Meta:
        model = Event
        fields = (
            "id",
            "at",
            "kind",
            "sentence",
            "reason",
            "actor_kind",
            "actor_id",
            "actor_label",
            "subject_id",
            "from_state",
            "to_state",
            "organisation_id",
            "federation_id",
            "run_id",
            "details",
        )

    def get_sentence(self, event: Event) -> str:
        return sentence(event)


class AuditSignatureOut(serializers.ModelSerializer[Signature]):
    federation = serializers.UUIDField(source="version.federation_id")
    organisation = serializers.UUIDField(source="participation.organisation_id")
    version = serializers.IntegerField(source="version.number", help_text="Of the charter.")
    charter_digest = serializers.CharField(source="version.digest", help_text="SHA-256, in hex.")
    signed_by = serializers.CharField(source="signed_by.name")

    class Meta:
        model = Signature
        fields = (
            "federation",
            "organisation",
            "version",
            "charter_digest",
            "licence_digest",
            "signed_by",
            "signed_at",
        )


class AuditFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    """As `Question` has it."""

    person = filters.UUIDFilter(help_text="Who acted.")
    organisation = filters.UUIDFilter()
    federation = filters.UUIDFilter()
    run = filters.UUIDFilter()
    object = filters.UUIDFilter(help_text="What it happened to.")
    action = filters.CharFilter(help_text="A kind such as `run.failed`, or its first half.")
    since = filters.IsoDateTimeFilter()
    until = filters.IsoDateTimeFilter(help_text="Up to, and without, this moment.")

    class Meta:
        model = Event
        fields: ClassVar[list[str]] = []

    def filter_queryset(self, queryset: QuerySet[Event]) -> QuerySet[Event]:
        return self.question().of(queryset)

    def question(self) -> Question:
        said = self.form.cleaned_data
        return Question(**{name: said[name] for name in Question.__slots__ if said[name]})


class AuditViewSet(ApiViewSet[Event]):
    """The record of what happened, the newest first; for roles that read and export it.

    Of one's own organisations and their federations; operators read all of it.
    """

    permission_classes = (IsPerson,)
    serializer_class = AuditEventOut
    filterset_class = AuditFilter
    queryset = Event.objects.none()
    lookup_value_converter = "int"
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Event]:
        return readable_by(self.person).events()


class AuditSignatureViewSet(ListModelMixin, ReadingViewSet[Signature]):
    """Who signed which text of a charter, the newest first."""

    permission_classes = (IsPerson,)
    serializer_class = AuditSignatureOut
    queryset = Signature.objects.none()
    ordering = ("-signed_at", "-id")

    def get_queryset(self) -> QuerySet[Signature]:
        return readable_by(self.person).signatures()


class ExportView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(
        operation_id="audit_export",
        tags=["audit"],
        parameters=[
            OpenApiParameter("as", str, enum=[one.value for one in Format], required=True),
            *(OpenApiParameter(name, str) for name in Question.__slots__),
        ],
        responses={
            (200, "application/jsonl"): OpenApiTypes.STR,
            (200, "text/csv"): OpenApiTypes.STR,
        },
    )
    def get(self, request: Request) -> StreamingHttpResponse:
        """What the filters of `audit` find, whole, the oldest first; itself on record."""
        asked = request.query_params.dict()
        form = asked.pop("as", "")
        if form not in set(Format):
            raise ValidationError({"as": [f"One of {', '.join(Format)}."]})
        readable = readable_by(self.person)
        question = _question(asked)
        made = services.export(readable=readable, question=question, form=Format(form))
        return services.export_response(made)


def _question(asked: dict[str, Any]) -> Question:
    if unknown := sorted(set(asked) - set(Question.__slots__)):
        refused = {name: ["There is no such parameter."] for name in unknown}
        raise ValidationError(refused, code="unknown_parameter")
    found = AuditFilter(asked, queryset=Event.objects.none())
    if not found.form.is_valid():
        raise ValidationError(found.form.errors)
    return found.question()
