"""Base models, versions and evaluations, for people and their scripts."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.decorators import action
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import Serializer

from hub.catalogue import selectors
from hub.catalogue.api import filters, serializers
from hub.catalogue.api.blobs import BYTES, RANGE_HEADER
from hub.catalogue.bases import licences
from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.models import BaseModel, Evaluation, ModelVersion
from hub.catalogue.versions import merging, registry
from hub.catalogue.versions.lines import with_origin
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import ReasonIn
from hub.common.api.views import ApiViewSet, ReadingViewSet
from hub.common.errors import NotFound

BETTER = OpenApiExample(
    "Roll back", value={"reason": "v4 is worse for the smallest of us"}, request_only=True
)


class BaseModelViewSet(ApiViewSet[BaseModel]):
    """Pre-trained models that a federation can start from."""

    permission_classes = (IsPerson,)
    filterset_class = filters.BaseModelFilter
    ordering = ("name", "id")

    def get_queryset(self) -> QuerySet[BaseModel]:
        bases = selectors.base_models()
        return bases.prefetch_related("files__artifact") if self.detail else bases

    def get_serializer_class(self) -> type[Serializer[BaseModel]]:
        return serializers.BaseModelDetailOut if self.detail else serializers.BaseModelOut

    @extend_schema(request=serializers.AcceptanceIn, responses={201: serializers.AcceptanceOut})
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, pk: UUID) -> Response:
        """Accept its licence for your organisation; for owners. Accepted twice is accepted once."""
        body = self.validated(serializers.AcceptanceIn)
        acceptance = licences.accept_licence(
            user=self.person,
            organisation_id=body["organisation"],
            base_model_id=pk,
            licence_digest=body["licence_digest"],
        )
        return Response(serializers.AcceptanceOut(acceptance).data, status=201)


class VersionViewSet(ApiViewSet[ModelVersion]):
    """What your federations trained."""

    permission_classes = (IsPerson,)
    filterset_class = filters.VersionFilter
    ordering_fields = ("created_at", "number")

    def get_queryset(self) -> QuerySet[ModelVersion]:
        versions = selectors.versions_visible_to(self.person)
        return with_origin(versions).prefetch_related("commits") if self.detail else versions

    def get_serializer_class(self) -> type[Serializer[ModelVersion]]:
        return serializers.VersionDetailOut if self.detail else serializers.VersionOut

    @extend_schema(request=ReasonIn, responses=serializers.VersionOut, examples=[BETTER])
    @action(detail=True, methods=["post"])
    def release(self, request: Request, pk: UUID) -> Response:
        """Make it the released version; for the lead. A retired one comes back with a reason."""
        body = self.validated(ReasonIn)
        version = registry.release_version(user=self.person, version_id=pk, **body)
        return Response(serializers.VersionOut(version).data)

    @extend_schema(request=ReasonIn, responses=serializers.VersionOut)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, pk: UUID) -> Response:
        """Take it out of use; for the lead. It can still be fetched by its number."""
        body = self.validated(ReasonIn)
        version = registry.retire_version(user=self.person, version_id=pk, **body)
        return Response(serializers.VersionOut(version).data)

    @extend_schema(responses=serializers.MergedOut)
    @action(detail=True, methods=["get"])
    def merged(self, request: Request, pk: UUID) -> Response:
        """How its merged model is: the version worked into the weights of its base."""
        found = merging.name_merged(version=self.get_object())
        return Response(serializers.MergedOut(found).data)

    @extend_schema(request=None, responses={202: serializers.MergedOut})
    @action(detail=True, methods=["post"])
    def merge(self, request: Request, pk: UUID) -> Response:
        """Have it merged now, before anybody asks for a file; also again, where that failed."""
        found = merging.want_merged(version=self.get_object(), again=True, actor=self.person.actor)
        return Response(serializers.MergedOut(found).data, status=202)

    @extend_schema(operation_id="version_file", parameters=[RANGE_HEADER], responses=BYTES)
    @action(detail=True, methods=["get"], url_path="files/<path:path>")
    def file(self, request: Request, path: str, **_: UUID) -> HttpResponseBase:
        """One file of the version, under its name."""
        found = self.get_object().files.filter(path=path).select_related("artifact").first()
        if found is None:
            raise NotFound("this version has no such file")
        filename = path.rpartition("/")[2]
        return artifact_response(request._request, found.artifact, filename=filename)  # noqa: SLF001


class EvaluationViewSet(ListModelMixin, ReadingViewSet[Evaluation]):
    """What adapters achieved on the test data of each organisation; the numbers add up."""

    permission_classes = (IsPerson,)
    serializer_class = serializers.EvaluationOut
    filterset_class = filters.EvaluationFilter

    def get_queryset(self) -> QuerySet[Evaluation]:
        return selectors.evaluations_visible_to(self.person)
