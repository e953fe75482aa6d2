"""What the evaluations of a version come to, for scripts."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.evaluation.assessing import Assessment
from hub.catalogue.evaluation.gatewords import finding, title_of
from hub.catalogue.models import GateResult
from hub.catalogue.selectors import versions_visible_to
from hub.catalogue.versions.lines import with_origin
from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiView
from hub.common.errors import NotFound


class DispersionOut(serializers.Serializer[Any]):
    least = serializers.FloatField()
    most = serializers.FloatField()
    width = serializers.FloatField(help_text="The most less the least.")
    deviation = serializers.FloatField(help_text="Standard deviation over organisations.")


class IntervalOut(serializers.Serializer[Any]):
    value = serializers.FloatField()
    lower = serializers.FloatField(help_text="It lies between these with 95 % confidence.")
    upper = serializers.FloatField()


class OrganisationFiguresOut(serializers.Serializer[Any]):
    organisation = serializers.CharField(source="place.slug")
    name = serializers.CharField(source="place.name")
    examples = serializers.IntegerField()
    value = serializers.FloatField(allow_null=True, help_text="In the version's measure.")
    loss = serializers.FloatField()
    change = serializers.FloatField(
        allow_null=True, help_text="Against the reference, on the same examples; more is better."
    )
    alone = serializers.FloatField(
        allow_null=True, help_text="What training alone reaches on its own test data."
    )
    alone_on_all = serializers.FloatField(allow_null=True, help_text="And on everybody's.")


class LabelFiguresOut(serializers.Serializer[Any]):
    name = serializers.CharField(source="label")
    examples = serializers.IntegerField(
        source="examples.told", allow_null=True, help_text="null: fewer than 5."
    )
    recall = serializers.FloatField(allow_null=True)


class MistakeOut(serializers.Serializer[Any]):
    true = serializers.CharField()
    said = serializers.CharField()
    count = serializers.IntegerField(
        source="count.told", allow_null=True, help_text="null: fewer than 5."
    )


class ByLabelOut(serializers.Serializer[Any]):
    whose = serializers.CharField(help_text="All together, or an organisation of yours by itself.")
    tail = LabelFiguresOut(many=True, help_text="The labels that are recognised least.")
    mistakes = MistakeOut(many=True, help_text="What is most often taken for what.")


class GateResultOut(serializers.Serializer[GateResult]):
    gate = serializers.CharField(help_text="The plan's field that asks for it.")
    title = serializers.SerializerMethodField()
    verdict = serializers.ChoiceField(choices=["pass", "fail", "unknown"])
    blocks = serializers.BooleanField(help_text="Whether it holds a release up.")
    words = serializers.SerializerMethodField()
    value = serializers.FloatField(source="figures.value", allow_null=True, default=None)
    lower = serializers.FloatField(source="figures.lower", allow_null=True, default=None)
    upper = serializers.FloatField(source="figures.upper", allow_null=True, default=None)
    bound = serializers.FloatField(source="figures.bound")
    is_paired = serializers.BooleanField(
        source="figures.is_paired", help_text="Compared example by example."
    )

    def get_title(self, one: GateResult) -> str:
        return title_of(one.gate)

    def get_words(self, one: GateResult) -> str:
        return finding(one)


class EvaluationSummaryOut(serializers.Serializer[Assessment]):
    measure = serializers.CharField(source="measure.name")
    value = serializers.FloatField(
        allow_null=True, help_text="Over all test data; null: not measured."
    )
    examples = serializers.IntegerField(source="whole.examples", default=0)
    accuracy = serializers.FloatField(allow_null=True)
    loss = serializers.FloatField(allow_null=True)
    macro_f1 = serializers.FloatField(allow_null=True)
    area_under_curve = serializers.FloatField(
        allow_null=True, help_text="Of one label against the rest, all pooled, from 256 bins."
    )
    reference = serializers.CharField(help_text="What changes are against.")
    gain = IntervalOut(
        allow_null=True,
        help_text="How much better than the reference, on the same examples: in accuracy, else in "
        "mean loss. null: not all have compared.",
    )
    organisations = OrganisationFiguresOut(many=True)
    worst = serializers.CharField(source="worst.place.slug", default=None, allow_null=True)
    missing = serializers.SerializerMethodField(help_text="Who was asked and has not answered.")
    dispersion = DispersionOut(allow_null=True)
    by_label = ByLabelOut(many=True, help_text="Together only where at least three have counted.")
    gates = GateResultOut(many=True)

    def get_missing(self, found: Assessment) -> list[str]:
        return [place.slug for place in found.missing]


class EvaluationSummaryView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(operation_id="version_evaluation", responses=EvaluationSummaryOut)
    def get(self, request: Request, pk: UUID) -> Response:
        """Pooled, by organisation and by label, and what the plan's gates say."""
        version = with_origin(versions_visible_to(self.person)).filter(pk=pk).first()
        if version is None:
            raise NotFound("there is no such version")
        return Response(EvaluationSummaryOut(Assessment(version, self.person)).data)
