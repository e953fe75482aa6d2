"""Taking a version elsewhere: as an archive, or to another hub."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.api.filters import PushFilter
from hub.catalogue.cards.archives import archive_response
from hub.catalogue.cards.pushes import push_version
from hub.catalogue.models import Push
from hub.catalogue.selectors import require_version, versions_visible_to
from hub.common.api.permissions import IsPerson
from hub.common.api.serializers import In, TextField
from hub.common.api.views import ApiView, ApiViewSet, once

ZIP = {(200, "application/zip"): OpenApiTypes.BINARY}
SOME_ID = "0f8fad5b-d9cb-469f-a165-70867728950e"
ELSEWHERE = OpenApiExample(
    "Elsewhere",
    value={
        "version": SOME_ID,
        "endpoint": "https://huggingface.co",
        "repo": "ada-institute/tickets",
        "token": "hf_…",
    },
    request_only=True,
)


class ArchiveView(ApiView):
    """All files of a version as one zip, each stored as it is."""

    permission_classes = (IsPerson,)

    @extend_schema(operation_id="version_archive", responses=ZIP)
    def get(self, request: Request, pk: UUID) -> HttpResponseBase:
        """All files of the newest commit as one zip."""
        return archive_response(require_version(self.person, pk))


class PushIn(In):
    version = serializers.UUIDField()
    endpoint = TextField(max_length=300, help_text="One that the hub's operator allows.")
    repo = TextField(max_length=193, help_text="As owner/name over there.")
    token = serializers.CharField(
        max_length=400, help_text="Of that hub. Kept sealed until the push has ended, then gone."
    )


class PushOut(serializers.ModelSerializer[Push]):
    revision = serializers.CharField(source="commit.revision", help_text="What is copied.")

    class Meta:
        model = Push
        fields = (
            "id",
            "version",
            "revision",
            "endpoint",
            "repo",
            "state",
            "outcome",
            "created_at",
            "ended_at",
        )


class PushViewSet(ApiViewSet[Push]):
    """Copies of your federations' versions on other hubs, and what became of them."""

    permission_classes = (IsPerson,)
    serializer_class = PushOut
    filterset_class = PushFilter

    def get_queryset(self) -> QuerySet[Push]:
        versions = versions_visible_to(self.person).values("pk")
        return Push.objects.filter(version__in=versions).select_related("commit")

    @extend_schema(request=PushIn, responses={201: PushOut}, examples=[ELSEWHERE])
    @once
    def create(self, request: Request) -> Response:
        """Copy a version's newest commit; for owners. A repository that is missing is made."""
        body = self.validated(PushIn)
        asked = push_version(user=self.person, version_id=body.pop("version"), **body)
        return Response(PushOut(asked).data, status=201)
