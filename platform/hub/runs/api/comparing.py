"""Versions side by side, as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.models import ModelVersion
from hub.catalogue.selectors import versions_visible_to
from hub.catalogue.versions.distances import Apart, ask_distances, check_comparable
from hub.catalogue.versions.lines import with_origin
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ApiView
from hub.common.errors import NotFound
from hub.runs.compared import Compared, Figures, Shares

WHICH = OpenApiParameter(
    "version", {"type": "array", "items": {"type": "string", "format": "uuid"}}, required=True
)


class SideBySideIn(In):
    """The versions whose distances are to be measured."""

    versions = serializers.ListField(child=serializers.UUIDField(), max_length=100)


class ComparedVersionOut(serializers.ModelSerializer[ModelVersion]):
    size_bytes = serializers.IntegerField(source="adapter.size_bytes")

    class Meta:
        model = ModelVersion
        fields = ("id", "number", "state", "rank", "size_bytes")


class FiguresOut(serializers.Serializer[Any]):
    name = serializers.CharField()
    values = serializers.ListField(child=serializers.FloatField(allow_null=True))


class DifferenceOut(serializers.Serializer[Any]):
    section = serializers.CharField()
    label = serializers.CharField()  # type: ignore[assignment]  # a field of the answer
    texts = serializers.ListField(child=serializers.CharField())


class ApartOut(serializers.Serializer[Any]):
    relative = serializers.FloatField(allow_null=True, help_text="Of the first one's size.")
    cosine = serializers.FloatField(allow_null=True)


class PairOut(serializers.Serializer[Any]):
    start = serializers.UUIDField()
    end = serializers.UUIDField()
    state = serializers.CharField(allow_null=True, help_text="Null: nobody has asked.")
    change = ApartOut(allow_null=True)
    other_weights = ApartOut(allow_null=True)


class SideBySideOut(serializers.Serializer[Any]):
    """Lists of values are in the order of the versions, the oldest first."""

    measure = serializers.CharField()
    versions = ComparedVersionOut(many=True)
    all_together = FiguresOut()
    organisations = FiguresOut(many=True)
    recalls = FiguresOut(many=True)
    confusions = FiguresOut(many=True)
    plan_differences = DifferenceOut(many=True)
    distances = PairOut(many=True)


class ComparisonView(ApiView):
    """Two to six versions of a federation side by side."""

    permission_classes = (IsPerson,)

    @extend_schema(parameters=[WHICH], responses=SideBySideOut)
    def get(self, request: Request) -> Response:
        """Set versions side by side: figures, plans, and how far apart they are."""
        asked = serializers.ListField(child=serializers.UUIDField(), max_length=100)
        ids = asked.run_validation(request.query_params.getlist("version"))
        return Response(_compared(Compared(self._versions(ids), self.person)))

    @extend_schema(request=SideBySideIn, responses={202: SideBySideOut})
    def post(self, request: Request) -> Response:
        """Have the distances between versions measured; what is known stays."""
        ids = self.validated(SideBySideIn)["versions"]
        versions = self._versions(ids)
        ask_distances(user=self.person, version_ids=ids)
        return Response(_compared(Compared(versions, self.person)), status=202)

    def _versions(self, ids: Sequence[UUID]) -> list[ModelVersion]:
        visible = with_origin(versions_visible_to(self.person)).select_related("adapter")
        found = list(visible.filter(pk__in=ids).order_by("number"))
        if len(found) != len(set(ids)) or len({one.federation_id for one in found}) > 1:
            raise NotFound("there is no such version")
        check_comparable(found)
        return found


def _compared(board: Compared) -> Mapping[str, Any]:
    return {
        "measure": board.measure.name,
        "versions": ComparedVersionOut(board.versions, many=True).data,
        "all_together": _figures(board.whole),
        "organisations": [_figures(one) for one in board.by_place],
        "recalls": [_shares(one) for one in board.recalls],
        "confusions": [_shares(one) for one in board.confusions],
        "plan_differences": DifferenceOut(board.differences, many=True).data,
        "distances": [
            {
                "start": pair.start.pk,
                "end": pair.end.pk,
                "state": pair.distance.state if pair.distance else None,
                "change": _apart(pair.change),
                "other_weights": _apart(pair.values),
            }
            for pair in board.pairs
        ],
    }


def _figures(one: Figures) -> dict[str, Any]:
    return {"name": one.name, "values": [score.value for score in one.scores]}


def _shares(one: Shares) -> dict[str, Any]:
    return {"name": one.words, "values": list(one.shares)}


def _apart(found: Apart | None) -> dict[str, float | None] | None:
    return {"relative": found.relative, "cosine": found.cosine} if found else None
