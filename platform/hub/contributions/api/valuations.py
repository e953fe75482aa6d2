"""Valuations for people and their scripts: asked for, followed, and computed again from."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from pydantic import ValidationError
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from federation.plan import ValuationSpec
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ApiView, ApiViewSet
from hub.contributions.models import Valuation, ValuationState, Value
from hub.contributions.valuations.starting import ask_valuation
from hub.contributions.valued import (
    Answer,
    Worth,
    Worths,
    answers_to,
    record_of,
    valuations_visible_to,
    values_of,
)
from hub.federations.selectors import federations_of
from hub.organisations.api.base import refusal_of

LEAVING_OUT = OpenApiExample(
    "Leave one out",
    value={
        "round": "0192f0c1-0000-7000-8000-000000000000",
        "spec": {"method": "leave_one_out"},
    },
    request_only=True,
)


class ValueOut(serializers.ModelSerializer[Value]):
    organisation = serializers.CharField(source="participation.organisation.name")
    value = serializers.FloatField(
        source="phi", help_text="By how much it lowered the mean loss on the probes."
    )
    lower = serializers.FloatField(source="low", allow_null=True)
    upper = serializers.FloatField(source="high", allow_null=True)
    by_owner = serializers.SerializerMethodField(
        help_text="What each probe says by itself, by participation; `public` is the probe set."
    )

    class Meta:
        model = Value
        fields = ("participation", "organisation", "value", "lower", "upper", "by_owner")

    def get_by_owner(self, value: Value) -> dict[str, float]:
        by_owner: dict[str, float] = value.by_owner
        return by_owner


class ValuationOut(serializers.ModelSerializer[Valuation]):
    run = serializers.UUIDField(source="round.run_id")
    round_number = serializers.IntegerField(source="round.number")
    planned = serializers.IntegerField(help_text="Models of coalitions that are asked for by now.")
    measured = serializers.IntegerField(help_text="Those of them that are known.")
    spec = serializers.SerializerMethodField()
    values = ValueOut(many=True)

    class Meta:
        model = Valuation
        fields = (
            "id",
            "run",
            "round",
            "round_number",
            "number",
            "state",
            "is_planned",
            "spec",
            "method",
            "seed",
            "probe",
            "planned",
            "measured",
            "evaluations",
            "seconds",
            "worth",
            "gap",
            "values",
            "failure_code",
            "failure_detail",
            "created_at",
            "ended_at",
        )

    def get_spec(self, found: Valuation) -> dict[str, Any]:
        spec: dict[str, Any] = found.spec
        return spec


class SpecField(serializers.JSONField):
    """The plan's section `valuation`; checked by its own schema."""

    def to_internal_value(self, data: Any) -> Any:
        try:
            return ValuationSpec.model_validate(data)
        except ValidationError as error:
            raise serializers.ValidationError(refusal_of(error).detail) from error


class ValuationIn(In):
    round = serializers.UUIDField()
    spec = SpecField()


class MemberAnswerOut(serializers.Serializer[Answer]):
    participation = serializers.UUIDField()
    organisation = serializers.CharField()
    state = serializers.CharField()
    reason = serializers.CharField()


class MemberAnswersOut(serializers.Serializer[Any]):
    answers = MemberAnswerOut(many=True)


class RecordOut(serializers.Serializer[Any]):
    record = serializers.DictField(help_text="What the ledger has of it: `replay` it.")


class ValuationFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="round__run__federation_id")
    run = filters.UUIDFilter(field_name="round__run_id")
    state = filters.ChoiceFilter(choices=ValuationState.choices)

    class Meta:
        model = Valuation
        fields = ("federation", "run", "round", "method", "state", "is_planned")


class ValuationViewSet(ApiViewSet[Valuation]):
    """What the contributions to rounds were worth, and how that was measured."""

    permission_classes = (IsPerson,)
    serializer_class = ValuationOut
    filterset_class = ValuationFilter

    def get_queryset(self) -> QuerySet[Valuation]:
        return valuations_visible_to(self.person)

    @extend_schema(request=ValuationIn, responses={202: ValuationOut}, examples=[LEAVING_OUT])
    def create(self, request: Request) -> Response:
        """Have a round of the past valued in another way; for the lead. What is there stays."""
        body = self.validated(ValuationIn)
        asked = ask_valuation(user=self.person, round_id=body["round"], spec=body["spec"])
        found = self.get_queryset().get(pk=asked.pk)
        return Response(ValuationOut(found).data, status=202)

    @extend_schema(responses=RecordOut)
    @action(detail=True, methods=["get"])
    def record(self, request: Request, pk: str) -> Response:
        """All losses that were measured, from which anybody computes the same values."""
        return Response({"record": record_of(self.get_object())})

    @extend_schema(responses=MemberAnswersOut)
    @action(detail=True, methods=["get"])
    def answers(self, request: Request, pk: str) -> Response:
        """Whose own examples it was measured on, and who did not answer and why."""
        found = {"answers": answers_to(self.get_object())}
        return Response(MemberAnswersOut(found).data)


class WorthOut(serializers.Serializer[Worth]):
    participation = serializers.UUIDField()
    value = serializers.FloatField()
    lower = serializers.FloatField(allow_null=True)
    upper = serializers.FloatField(allow_null=True)


class RoundWorthOut(serializers.Serializer[Any]):
    valuation = serializers.UUIDField(source="valuation.pk")
    run = serializers.UUIDField(source="valuation.round.run_id")
    round = serializers.UUIDField(source="valuation.round_id")
    round_number = serializers.IntegerField(source="number")
    method = serializers.CharField(source="valuation.method")
    values = WorthOut(many=True)


class WorthsOut(serializers.Serializer[Worths]):
    method = serializers.CharField(help_text="Rounds that were valued so are added up.")
    evaluations = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="What workers and sites have spent on it.")
    cumulated = WorthOut(source="ranking", many=True)
    rounds = RoundWorthOut(many=True)


class WorthsView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(operation_id="federation_valuations", responses=WorthsOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """What contributions to a federation were worth: all together, and by round."""
        federation = get_object_or_404(federations_of(self.person), pk=pk)
        return Response(WorthsOut(values_of(federation)).data)
