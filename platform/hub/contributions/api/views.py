"""Contribution facts for people and their scripts."""

from __future__ import annotations

from django.db.models import QuerySet

from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiViewSet
from hub.contributions import selectors
from hub.contributions.api.filters import FactFilter
from hub.contributions.api.serializers import FactOut
from hub.contributions.models import ContributionFact


class FactViewSet(ApiViewSet[ContributionFact]):
    """What each participation gave to each round, from its signed statements."""

    permission_classes = (IsPerson,)
    serializer_class = FactOut
    filterset_class = FactFilter
    ordering = ("-id",)

    def get_queryset(self) -> QuerySet[ContributionFact]:
        return selectors.facts_visible_to(self.person)
