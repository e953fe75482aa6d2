"""Cases for people and their scripts: what was noticed, answered and decided."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ApiViewSet
from hub.contributions.cases.selectors import cases_visible_to
from hub.contributions.cases.services import MOST_LETTERS, answer_case, decide_case
from hub.contributions.models import Answer, Case, CaseKind, CaseState


class CaseAnswerOut(serializers.ModelSerializer[Answer]):
    class Meta:
        model = Answer
        fields = ("participation", "text", "at")


class CaseOut(serializers.ModelSerializer[Case]):
    participations = serializers.ListField(child=serializers.UUIDField())
    evidence = serializers.SerializerMethodField(
        help_text="For each round in which it was noticed, figures by name."
    )
    answers = CaseAnswerOut(many=True)
    decided_at = serializers.SerializerMethodField()

    class Meta:
        model = Case
        fields = (
            "id",
            "created_at",
            "state",
            "federation",
            "run",
            "round",
            "kind",
            "participations",
            "evidence",
            "answers",
            "reason",
            "decided_at",
        )

    def get_evidence(self, case: Case) -> list[dict[str, Any]]:
        return list(case.evidence)

    def get_decided_at(self, case: Case) -> str | None:
        return None if case.state == CaseState.OPEN else case.state_changed_at.isoformat()


class DecisionIn(In):
    reason = serializers.CharField(max_length=MOST_LETTERS)


class CaseAnswerIn(In):
    text = serializers.CharField(max_length=MOST_LETTERS)


class CaseFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    kind = filters.ChoiceFilter(choices=CaseKind.choices)
    state = filters.ChoiceFilter(choices=CaseState.choices)

    class Meta:
        model = Case
        fields = ("federation", "run", "kind", "state")


class CaseViewSet(ApiViewSet[Case]):
    """What looked odd about the updates of an organisation, or of two; people decide on it."""

    permission_classes = (IsPerson,)
    serializer_class = CaseOut
    filterset_class = CaseFilter
    ordering = ("-created_at",)

    def get_queryset(self) -> QuerySet[Case]:
        return cases_visible_to(self.person).prefetch_related("answers")

    @extend_schema(request=DecisionIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def uphold(self, request: Request, pk: str) -> Response:
        """What it looks like is what it is; for owners of the lead, not about their own."""
        return self._decided(uphold=True)

    @extend_schema(request=DecisionIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def dismiss(self, request: Request, pk: str) -> Response:
        """It has an honest explanation; for owners of the lead, not about their own."""
        return self._decided(uphold=False)

    @extend_schema(request=CaseAnswerIn, responses=CaseOut)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, pk: str) -> Response:
        """Say something to a case about an organisation of yours; the last word stands."""
        case_id = self.get_object().pk
        text = self.validated(CaseAnswerIn)["text"]
        answer_case(user=self.person, case_id=case_id, text=text)
        return Response(CaseOut(self.get_object()).data)

    def _decided(self, *, uphold: bool) -> Response:
        case_id = self.get_object().pk
        reason = self.validated(DecisionIn)["reason"]
        decide_case(user=self.person, case_id=case_id, uphold=uphold, reason=reason)
        return Response(CaseOut(self.get_object()).data)
