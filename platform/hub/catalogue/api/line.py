"""The names of a federation's versions, for people and scripts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django_filters import rest_framework as filters
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.models import Alias
from hub.catalogue.versions import aliases
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In
from hub.common.api.views import ReadingViewSet, once
from hub.common.errors import NotFound

SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
PILOT = OpenApiExample(
    "Name a version", value={"version": SOME_ID, "name": "pilot-ward-3"}, request_only=True
)


class AliasIn(In):
    """A name of the federation's own for one of its versions."""

    version = serializers.UUIDField()
    name = serializers.CharField(max_length=200, trim_whitespace=False)


class AliasOut(serializers.ModelSerializer[Alias]):
    version_number = serializers.IntegerField(source="version.number")

    class Meta:
        model = Alias
        fields = ("id", "federation", "name", "version", "version_number", "created_at")


class AliasFilter(filters.FilterSet):  # type: ignore[misc]  # has no types
    federation = filters.UUIDFilter(field_name="federation_id")
    version = filters.UUIDFilter(field_name="version_id")

    class Meta:
        model = Alias
        fields = ("federation", "version", "name")


class AliasViewSet(ListModelMixin, ReadingViewSet[Alias]):
    """Names that federations gave to versions; wherever a revision is asked for, they are one."""

    permission_classes = (IsPerson,)
    serializer_class = AliasOut
    filterset_class = AliasFilter

    def get_queryset(self) -> QuerySet[Alias]:
        return aliases.aliases_visible_to(self.person)

    @extend_schema(request=AliasIn, responses={201: AliasOut}, examples=[PILOT])
    @once
    def create(self, request: Request) -> Response:
        """Give a version a name, from another one if need be; for the lead."""
        body = self.validated(AliasIn)
        made = aliases.give_alias(user=self.person, version_id=body["version"], name=body["name"])
        return Response(AliasOut(made).data, status=201)

    @extend_schema(request=None, responses={204: None})
    @action(detail=True, methods=["post"])
    def remove(self, request: Request, pk: UUID) -> Response:
        """Let it mean nothing any more; for the lead. Twice is once."""
        alias = aliases.every_alias_visible_to(self.person).filter(pk=pk).first()
        if alias is None:
            raise NotFound("there is no such name")
        aliases.remove_alias(user=self.person, federation_id=alias.federation_id, name=alias.name)
        return Response(status=204)
