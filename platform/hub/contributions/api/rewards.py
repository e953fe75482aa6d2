"""Credits for people and their scripts."""

from __future__ import annotations

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from rest_framework import serializers

from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiViewSet
from hub.contributions.models import Credit
from hub.contributions.rewards.balances import credits_visible_to


class CreditOut(serializers.ModelSerializer[Credit]):
    run = serializers.UUIDField(source="reward.run_id")
    organisation = serializers.CharField(source="participation.organisation.name")

    class Meta:
        model = Credit
        fields = (
            "id",
            "at",
            "run",
            "participation",
            "organisation",
            "kind",
            "value",
            "paid",
            "held",
            "entry",
        )


class CreditFilter(filters.FilterSet):  # type: ignore[misc]
    federation = filters.UUIDFilter(field_name="reward__run__federation")
    run = filters.UUIDFilter(field_name="reward__run")
    participation = filters.UUIDFilter(field_name="participation")

    class Meta:
        model = Credit
        fields = ("federation", "run", "participation", "kind")


class CreditViewSet(ApiViewSet[Credit]):
    """What each participation got for its contributions; its balance is the sum of these."""

    permission_classes = (IsPerson,)
    serializer_class = CreditOut
    filterset_class = CreditFilter
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[Credit]:
        return credits_visible_to(self.person)
