from __future__ import annotations

from django_filters import rest_framework as filters

from hub.catalogue.models import BaseModel, Evaluation, ModelVersion, Push


class BaseModelFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    class Meta:
        model = BaseModel
        fields = ("slug", "architecture")


class PushFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    class Meta:
        model = Push
        fields = ("version", "state")


class VersionFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")
    # Rounds belong to a higher app; only the database follows this arrow.
    run = filters.UUIDFilter(field_name="round__run_id")

    class Meta:
        model = ModelVersion
        fields = ("federation", "run", "state", "number", "is_baseline")


class EvaluationFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="participation__federation_id")
    organisation = filters.UUIDFilter(field_name="participation__organisation_id")
    run = filters.UUIDFilter(field_name="run_id")
    version = filters.UUIDFilter(field_name="version_id")

    class Meta:
        model = Evaluation
        fields = ("federation", "organisation", "run", "version", "round_number")
