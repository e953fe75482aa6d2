"""Base models that people bring: their facts in JSON, their files by the core of tus."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiExample, OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from hub.catalogue.api.serializers import BaseModelOut
from hub.catalogue.api.uploads import (
    OFFSET_HEADER,
    PART_TYPE,
    TUS_HEADER,
    PartParser,
    Tus,
    check_part,
    check_version,
    count_of,
    length_of,
)
from hub.catalogue.bases import drafts, mirrors
from hub.catalogue.bases.facts import LONGEST_LICENCE
from hub.catalogue.errors import WrongMediaType
from hub.catalogue.models import BaseModelDraft, DraftFile
from hub.catalogue.selectors import drafts_of, require_draft_file
from hub.common.api.permissions import IsOperator, IsPerson
from hub.common.api.serializers import DigestField, In, ParagraphsField, TextField
from hub.common.api.views import ApiView, ApiViewSet, once
from hub.common.bodies import body_of

SHA256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
WEIGHTS = OpenApiExample(
    "Weights",
    value={"path": "model.safetensors", "sha256": SHA256, "size_bytes": 90868376},
    request_only=True,
)


class FactsIn(In):
    slug = TextField(max_length=80, help_text="Its name in `base/<slug>`.")
    name = TextField(max_length=120)
    licence = TextField(max_length=60, help_text="SPDX identifier, such as Apache-2.0.")
    licence_text = ParagraphsField(
        max_length=LONGEST_LICENCE,
        default="",
        allow_blank=True,
        help_text="Empty: what a LICENSE file among the files says.",
    )
    must_accept = serializers.BooleanField(
        default=False, help_text="Whether each organisation accepts it before it gets a file."
    )
    description = TextField(max_length=1000, default="", allow_blank=True)


class DraftIn(FactsIn):
    organisation = serializers.UUIDField(
        default=None, allow_null=True, help_text="Yours, that brings it; null: an operator does."
    )
    source = TextField(  # type: ignore[assignment]  # a field of that name, not its source
        max_length=300, default="", allow_blank=True
    )


class MirrorIn(FactsIn):
    endpoint = TextField(max_length=200, help_text="A hub that the settings name.")
    repo = TextField(max_length=200, help_text="`owner/name` there.")
    revision = TextField(max_length=40, help_text="The 40 digits of a commit.")


class DraftFileIn(In):
    path = TextField(max_length=200)
    sha256 = DigestField()
    size_bytes = serializers.IntegerField(min_value=0, max_value=2**53)


class DraftFileOut(serializers.ModelSerializer[DraftFile]):
    is_complete = serializers.SerializerMethodField(help_text="Stored, and found harmless.")

    class Meta:
        model = DraftFile
        fields = ("id", "path", "sha256", "size_bytes", "offset", "is_complete")

    def get_is_complete(self, file: DraftFile) -> bool:
        return file.artifact_id is not None


class DraftOut(serializers.ModelSerializer[BaseModelDraft]):
    slug = serializers.CharField(source="facts.slug")
    name = serializers.CharField(source="facts.name")

    class Meta:
        model = BaseModelDraft
        fields: tuple[str, ...] = (
            "id",
            "state",
            "slug",
            "name",
            "organisation",
            "base_model",
            "created_at",
        )


class DraftDetailOut(DraftOut):
    files = DraftFileOut(many=True)

    class Meta(DraftOut.Meta):
        fields = (*DraftOut.Meta.fields, "files")


class DraftViewSet(ApiViewSet[BaseModelDraft]):
    """Base models on their way in. Announce one, announce and send its files, register it."""

    permission_classes = (IsPerson,)

    def get_queryset(self) -> QuerySet[BaseModelDraft]:
        mine = drafts_of(self.person)
        return mine.prefetch_related("files") if self.detail else mine

    def get_serializer_class(self) -> type[serializers.Serializer[BaseModelDraft]]:
        return DraftDetailOut if self.detail else DraftOut

    @extend_schema(request=DraftIn, responses={201: DraftDetailOut})
    @once
    def create(self, request: Request) -> Response:
        """Announce a base model; for owners of an approved organisation, and for operators."""
        body = self.validated(DraftIn)
        organisation_id = body.pop("organisation")
        draft = drafts.begin_draft(user=self.person, organisation_id=organisation_id, **body)
        return Response(DraftDetailOut(draft).data, status=201)

    @extend_schema(request=MirrorIn, responses={201: DraftOut})
    @action(detail=False, methods=["post"], permission_classes=[IsOperator])
    @once
    def mirrors(self, request: Request) -> Response:
        """Have a base model fetched from another hub; for operators."""
        draft = mirrors.begin_mirror(user=self.person, **self.validated(MirrorIn))
        return Response(DraftOut(draft).data, status=201)

    @extend_schema(request=DraftFileIn, responses={201: DraftFileOut}, examples=[WEIGHTS])
    @action(detail=True, methods=["post"])
    def files(self, request: Request, pk: UUID) -> Response:
        """Announce a file; send it to `/base-model-files/{id}` from its `offset` on."""
        body = self.validated(DraftFileIn)
        file = drafts.announce_file(user=self.person, draft_id=pk, **body)
        return Response(DraftFileOut(file).data, status=201)

    @extend_schema(request=None, responses=BaseModelOut)
    @action(detail=True, methods=["post"])
    def register(self, request: Request, pk: UUID) -> Response:
        """Make it a base model, once all its files are in. Twice is once."""
        base = drafts.register_draft(user=self.person, draft_id=pk)
        return Response(BaseModelOut(base, context={"view": self}).data)

    @extend_schema(request=None, responses=DraftOut)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, pk: UUID) -> Response:
        """Give it up; its files are forgotten."""
        return Response(DraftOut(drafts.close_draft(user=self.person, draft_id=pk)).data)


class DraftFileView(Tus, ApiView):
    """One file of a base model on its way in, by the core of the tus protocol."""

    permission_classes = (IsPerson,)
    parser_classes = (PartParser,)

    @extend_schema(
        operation_id="base_model_file_offset",
        parameters=[TUS_HEADER],
        responses={200: OpenApiResponse(description="`Upload-Offset` and `Upload-Length` say.")},
    )
    def head(self, request: Request, file_id: UUID) -> Response:
        """Where the file goes on."""
        check_version(request)
        return self._at(require_draft_file(self.person, file_id), status=200)

    @extend_schema(
        operation_id="base_model_file_part",
        parameters=[TUS_HEADER, OFFSET_HEADER],
        request={PART_TYPE: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="`Upload-Offset` says where to go on.")},
    )
    def patch(self, request: Request, file_id: UUID) -> Response:
        """Add a part; the last one has the file looked into."""
        check_version(request)
        if request.content_type != PART_TYPE:
            raise WrongMediaType(f"Parts are sent as {PART_TYPE}.")
        came = request._request  # noqa: SLF001  (the framework hides what it does not parse)
        offset, length = count_of(request, "Upload-Offset"), length_of(request)
        if "Content-Digest" in request.headers:
            check_part(came)
        body = body_of(came) or came
        file = drafts.append(
            user=self.person, file_id=file_id, offset=offset, length=length, body=body
        )
        return self._at(file, status=204)
