from __future__ import annotations

from django_filters import rest_framework as filters

from hub.contributions.models import ContributionFact


class FactFilter(filters.FilterSet):  # type: ignore[misc]
    run = filters.UUIDFilter(field_name="round__run")
    federation = filters.UUIDFilter(field_name="round__run__federation")

    class Meta:
        model = ContributionFact
        fields = ("round", "participation", "outcome")
