"""Shapes of runs, rounds, tasks and updates on the wire."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema_field
from pydantic import ValidationError
from rest_framework import serializers

from federation.plan import Plan
from hub.common.api.serializers import In, TextField
from hub.common.models import Event
from hub.common.sentences import sentence
from hub.runs.errors import PlanRefused
from hub.runs.methods import Variation
from hub.runs.models import (
    Comparison,
    Purpose,
    Recomputation,
    RecomputationState,
    Round,
    Run,
    Task,
    Update,
)
from hub.runs.planerrors import readable
from hub.runs.stacked_models import Stacking

PARTS_OF_A_KIND = {name for name, part in Plan.model_fields.items() if part.discriminator}


@extend_schema_field({"type": "object", "description": "A plan; see /api/v1/plan-schema."})
class PlanField(serializers.JSONField):
    """A plan as JSON; checked by the plan's own schema, refused with the field's name."""

    def to_internal_value(self, data: Any) -> Any:
        if not isinstance(data, dict):
            raise serializers.ValidationError("A plan is an object.")
        return parse_plan(data)


def parse_plan(data: dict[str, Any]) -> Plan:
    """The typed plan.

    Raises:
        PlanRefused: with the first offending field and what is wrong with it.
    """
    try:
        return Plan.model_validate_json(json.dumps(data))
    except ValidationError as error:
        problems: dict[str, list[str]] = {}
        for wrong in error.errors():
            problems.setdefault(_place(wrong["loc"]), []).append(readable(wrong["msg"]))
        name, messages = next(iter(problems.items()))
        where = f"{name}: " if name else ""  # what is wrong between its parts has no name
        raise PlanRefused(f"{where}{messages[0]}", errors=problems) from error


def _place(location: Sequence[str | int]) -> str:
    """Where in the plan, as its JSON has it: without the kind of a task or adapter."""
    has_kind = bool(location) and location[0] in PARTS_OF_A_KIND
    return ".".join(str(p) for i, p in enumerate(location) if not (has_kind and i == 1))


class RunIn(In):
    federation = serializers.UUIDField()
    name = TextField(max_length=120)
    plan = PlanField()
    purpose = serializers.ChoiceField(
        choices=Purpose.choices,
        default=Purpose.FEDERATED,
        help_text="federated: together; solo: one organisation alone; "
        "reference: all data in one place.",
    )
    trainers = serializers.ListField(
        child=serializers.UUIDField(), default=list, max_length=1000, help_text="Empty: everybody."
    )
    evaluators = serializers.ListField(
        child=serializers.UUIDField(), default=list, max_length=1000, help_text="Empty: everybody."
    )
    parent_version = serializers.UUIDField(
        default=None, allow_null=True, help_text="Go on from this version."
    )
    start = serializers.BooleanField(default=False, help_text="Start it at once.")


class VerdictIn(In):
    reason = TextField(max_length=450)


class RunOut(serializers.ModelSerializer[Run]):
    federation_slug = serializers.CharField(source="federation.slug")

    class Meta:
        model = Run
        fields = (
            "id",
            "number",
            "name",
            "state",
            "purpose",
            "federation",
            "federation_slug",
            "plan",
            "plan_digest",
            "trainers",
            "evaluators",
            "parent_version",
            "probe",
            "failure_code",
            "created_at",
            "started_at",
            "ended_at",
        )


class RoundOut(serializers.ModelSerializer[Round]):
    class Meta:
        model = Round
        fields = (
            "id",
            "run",
            "number",
            "state",
            "deadline_at",
            "version",
            "summary",
            "failure_code",
            "created_at",
            "ended_at",
        )


class TaskOut(serializers.ModelSerializer[Task]):
    organisation = serializers.CharField(source="participation.organisation.name")
    agent = serializers.CharField(source="agent.name", default=None, allow_null=True)
    round_number = serializers.IntegerField(source="round.number")
    run = serializers.UUIDField(source="round.run_id")

    class Meta:
        model = Task
        fields = (
            "id",
            "run",
            "round",
            "round_number",
            "type",
            "state",
            "participation",
            "organisation",
            "agent",
            "attempts",
            "progress",
            "failure_code",
            "failure_detail",
            "created_at",
            "leased_at",
            "ended_at",
        )


class UpdateOut(serializers.ModelSerializer[Update]):
    organisation = serializers.CharField(source="participation.organisation.name")
    run = serializers.UUIDField(source="round.run_id")
    size_bytes = serializers.IntegerField(source="artifact.size_bytes")

    class Meta:
        model = Update
        fields = (
            "id",
            "run",
            "round",
            "participation",
            "organisation",
            "state",
            "artifact",
            "size_bytes",
            "rank",
            "examples",
            "tokens",
            "steps",
            "device_seconds",
            "metrics",
            "is_late",
            "verdict_code",
            "evidence",
            "norm",
            "created_at",
        )


class MethodsIn(In):
    methods = serializers.ListField(
        child=TextField(max_length=120),
        min_length=1,
        max_length=100,
        help_text="Keys that /rounds/{id}/methods lists.",
    )


class MethodOut(serializers.Serializer[Variation]):
    key = serializers.CharField()
    is_own = serializers.BooleanField(help_text="The method that the round was aggregated with.")


class MethodsOut(serializers.Serializer[Any]):
    methods = MethodOut(many=True)


class ComparisonOut(serializers.Serializer[Comparison]):
    digests = serializers.ListField(child=serializers.CharField())
    norms = serializers.ListField(child=serializers.FloatField(), source="evidence.norms")
    cosines = serializers.ListField(
        child=serializers.ListField(child=serializers.FloatField()),
        source="evidence.cosines",
        help_text="Between each two changes of the model, in the order of the digests.",
    )
    at = serializers.DateTimeField()


class StackingOut(serializers.ModelSerializer[Stacking]):
    digest = serializers.CharField(source="artifact_id", default="", help_text="Once it is made.")
    size_bytes = serializers.IntegerField(
        source="artifact.size_bytes", default=None, allow_null=True
    )

    class Meta:
        model = Stacking
        fields = (
            "id",
            "round",
            "state",
            "digest",
            "size_bytes",
            "failure_code",
            "failure_detail",
            "created_at",
            "ended_at",
        )


class RecomputationOut(serializers.ModelSerializer[Recomputation]):
    is_reproduced = serializers.SerializerMethodField(
        help_text="Of a replay that is done: whether the published bytes came out again."
    )

    class Meta:
        model = Recomputation
        fields = (
            "id",
            "round",
            "key",
            "method",
            "is_own",
            "state",
            "digest",
            "is_reproduced",
            "size_bytes",
            "report",
            "failure_code",
            "failure_detail",
            "created_at",
            "ended_at",
        )

    def get_is_reproduced(self, row: Recomputation) -> bool | None:
        version = row.round.version
        if not row.is_own or row.state != RecomputationState.COMPUTED or version is None:
            return None
        return row.digest == version.adapter_id


class RecomputationsOut(serializers.Serializer[Any]):
    recomputations = RecomputationOut(many=True)


class EventOut(serializers.ModelSerializer[Event]):
    sentence = serializers.SerializerMethodField()

    class Meta:
        model = Event
        fields = (
            "id",
            "at",
            "kind",
            "subject_id",
            "from_state",
            "to_state",
            "reason",
            "actor_kind",
            "actor_label",
            "organisation_id",
            "federation_id",
            "run_id",
            "sentence",
        )

    def get_sentence(self, event: Event) -> str:
        return sentence(event)
