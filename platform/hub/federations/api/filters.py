from __future__ import annotations

from django.db.models import QuerySet
from django_filters import rest_framework as filters

from hub.federations.models import Federation, Participation
from hub.federations.selectors import federations_of


class FederationFilter(filters.FilterSet):  # type: ignore[misc]  # no types
    mine = filters.BooleanFilter(method="only_mine", label="Only those you take part in.")

    class Meta:
        model = Federation
        fields = ("state", "slug", "base_model")

    def only_mine(
        self,
        queryset: QuerySet[Federation],
        name: str,
        value: bool,  # noqa: FBT001
    ) -> QuerySet[Federation]:
        own = federations_of(self.request.user)
        return queryset.filter(pk__in=own) if value else queryset.exclude(pk__in=own)


class ParticipationFilter(filters.FilterSet):  # type: ignore[misc]  # no types
    class Meta:
        model = Participation
        fields = ("federation", "organisation", "state", "standing")
