"""Parts of uploads, by the core of the tus protocol (tus.io, version 1.0.0).

Uploads are announced in JSON at their task's address; what is announced there goes on here.
"""

from __future__ import annotations

import re
from typing import Any
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.parsers import BaseParser
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from federation.signatures import SignatureRefused, check_digest
from hub.catalogue.blobs import uploads
from hub.catalogue.blobs.parts import hashes
from hub.catalogue.errors import (
    BadUploadHeader,
    DigestMismatch,
    LengthMissing,
    OffsetMismatch,
    WrongMediaType,
    WrongTusVersion,
)
from hub.catalogue.models import DraftFile, Upload
from hub.catalogue.selectors import upload_of
from hub.common.bodies import Continued, Scope, body_of, sha256_of_body
from hub.organisations.api.base import AgentView

TUS = "1.0.0"
PART_TYPE = "application/offset+octet-stream"
PART_PATH = re.compile(r"/api/v1/agent/uploads/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")
COUNT = re.compile(r"[0-9]{1,18}")
TUS_HEADER = OpenApiParameter(
    "Tus-Resumable", OpenApiTypes.STR, OpenApiParameter.HEADER, required=True, enum=[TUS]
)
OFFSET_HEADER = OpenApiParameter(
    "Upload-Offset",
    OpenApiTypes.INT64,
    OpenApiParameter.HEADER,
    required=True,
    description="Where the part begins: exactly where the last one ended.",
)


def continued_upload(scope: Scope) -> Continued | None:
    """The hash that a part goes on with, found before anybody knows whether it may.

    Where it may not, or is not what it says, a copy of the hash was made for nothing.
    """
    part = PART_PATH.fullmatch(scope["path"]) if scope["method"] == "PATCH" else None
    offset = dict(scope["headers"]).get(b"upload-offset", b"").decode("latin-1")
    if part is None or not COUNT.fullmatch(offset):
        return None
    return hashes.lent(UUID(part[1]), int(offset))


class PartParser(BaseParser):
    """Names the media type for the schema; the view reads the body itself."""

    media_type = PART_TYPE


class Tus(APIView):
    """What every answer of the protocol says, to whoever sends the bytes."""

    @property
    def default_response_headers(self) -> dict[str, str]:
        always = {"Tus-Resumable": TUS, "Cache-Control": "no-store"}
        return {**super().default_response_headers, **always}

    def handle_exception(self, exc: Exception) -> Response:
        """A part at the wrong offset is told the right one, in a header too."""
        if isinstance(exc, OffsetMismatch):
            self.headers["Upload-Offset"] = str(exc.extra["offset"])
        return super().handle_exception(exc)

    def _at(self, file: Upload | DraftFile, *, status: int) -> Response:
        place = {"Upload-Offset": str(file.offset), "Upload-Length": str(file.size_bytes)}
        return Response(status=status, headers=place)


class UploadView(Tus, AgentView):
    """One upload of the agent's own."""

    parser_classes = (PartParser,)

    @property
    def checks_body(self) -> bool:  # type: ignore[override]
        """A part that is not the signed one is no forgery but a broken transfer."""
        return self.request.method == "PATCH"

    @extend_schema(
        operation_id="upload_offset",
        parameters=[TUS_HEADER],
        responses={200: OpenApiResponse(description="`Upload-Offset` and `Upload-Length` say.")},
    )
    def head(self, request: Request, upload_id: UUID) -> Response:
        """Where the upload goes on."""
        check_version(request)
        upload = uploads.resumed_upload(agent=self.agent, upload_id=upload_id)
        return self._at(upload, status=200)

    @extend_schema(
        operation_id="upload_part",
        parameters=[TUS_HEADER, OFFSET_HEADER],
        request={PART_TYPE: OpenApiTypes.BINARY},
        responses={204: OpenApiResponse(description="`Upload-Offset` says where to go on.")},
    )
    def patch(self, request: Request, upload_id: UUID) -> Response:
        """Add a part; the last one completes the upload."""
        check_version(request)
        if request.content_type != PART_TYPE:
            raise WrongMediaType(f"Parts are sent as {PART_TYPE}.")
        upload = upload_of(self.agent, upload_id)
        came = request._request  # noqa: SLF001  (the framework hides what it does not parse)
        offset, length = count_of(request, "Upload-Offset"), length_of(request)
        check_part(came)
        body = body_of(came) or came
        upload = uploads.append(upload=upload, offset=offset, length=length, body=body)
        return self._at(upload, status=204)

    @extend_schema(exclude=True)
    def options(self, request: Request, *_: Any, **__: Any) -> Response:  # type: ignore[override]
        limits = {"Tus-Version": TUS, "Tus-Max-Size": str(settings.UPLOAD_LIMIT_BYTES)}
        return Response(status=204, headers=limits)


def check_part(request: HttpRequest) -> None:
    try:
        check_digest(request.headers, sha256_of_body(request))
    except SignatureRefused as refused:
        raise DigestMismatch("This part is not what its Content-Digest says.") from refused


def check_version(request: Request) -> None:
    if request.headers.get("Tus-Resumable") != TUS:
        raise WrongTusVersion(f"Send Tus-Resumable: {TUS}.")


def length_of(request: Request) -> int:
    if "Content-Length" not in request.headers:
        raise LengthMissing("Say how long the part is.")
    return count_of(request, "Content-Length")


def count_of(request: Request, header: str) -> int:
    text = request.headers.get(header, "")
    if not COUNT.fullmatch(text):
        raise BadUploadHeader(f"{header} is a whole number in ASCII digits.")
    return int(text)
