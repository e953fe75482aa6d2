from __future__ import annotations

from django_filters import rest_framework as filters

from hub.common.models import Event
from hub.runs.models import Recomputation, Round, Run, Task, Update


class RunFilter(filters.FilterSet):  # type: ignore[misc]
    class Meta:
        model = Run
        fields = ("federation", "state", "purpose")


class RoundFilter(filters.FilterSet):  # type: ignore[misc]
    class Meta:
        model = Round
        fields = ("run", "state")


class TaskFilter(filters.FilterSet):  # type: ignore[misc]
    run = filters.UUIDFilter(field_name="round__run")

    class Meta:
        model = Task
        fields = ("round", "participation", "state", "type")


class UpdateFilter(filters.FilterSet):  # type: ignore[misc]
    run = filters.UUIDFilter(field_name="round__run")

    class Meta:
        model = Update
        fields = ("round", "participation", "state")


class RecomputationFilter(filters.FilterSet):  # type: ignore[misc]
    run = filters.UUIDFilter(field_name="round__run")

    class Meta:
        model = Recomputation
        fields = ("round", "state", "is_own")


class EventFilter(filters.FilterSet):  # type: ignore[misc]
    run = filters.UUIDFilter(field_name="run_id")
    federation = filters.UUIDFilter(field_name="federation_id")
    after = filters.NumberFilter(
        field_name="id", lookup_expr="gt", help_text="Id of the last one seen."
    )

    class Meta:
        model = Event
        fields = ("kind",)
