"""Artifacts by their digest, for agents and for people."""

from __future__ import annotations

from typing import cast

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from federation.protocol import DownloadTokenIn, DownloadTokenOut
from hub.accounts.models import User
from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.blobs.tokens import issue_download_token
from hub.catalogue.selectors import Reader, require_artifact
from hub.common.api.authentication import BearerAuthentication, BrowserAuthentication
from hub.common.api.permissions import IsPersonOrAgent
from hub.common.api.views import Contract
from hub.organisations.api.authentication import SignedAgentAuthentication
from hub.organisations.api.base import AgentView
from hub.organisations.models import Agent

PERSON_OR_AGENT = (SignedAgentAuthentication, BearerAuthentication, BrowserAuthentication)
BYTES = {(200, "application/octet-stream"): OpenApiTypes.BINARY}
RANGE_HEADER = OpenApiParameter(
    "Range", OpenApiTypes.STR, OpenApiParameter.HEADER, description="One range: 206, or 416."
)


class BlobView(Contract, APIView):
    """The bytes of an artifact; they never change, so keep them as long as you like."""

    authentication_classes = PERSON_OR_AGENT
    permission_classes = (IsPersonOrAgent,)

    @extend_schema(operation_id="blob", parameters=[RANGE_HEADER], responses=BYTES)
    def get(self, request: Request, sha256: str) -> HttpResponseBase:
        """Files of base models, and what the caller's federations trained."""
        artifact = require_artifact(reader_of(request), sha256)
        return artifact_response(request._request, artifact)  # noqa: SLF001

    @extend_schema(exclude=True)
    def head(self, request: Request, sha256: str) -> HttpResponseBase:
        return self.get(request, sha256)


class DownloadTokenView(AgentView):
    """Tokens for clients of the Hugging Face dialect, which cannot sign requests."""

    @extend_schema(request=DownloadTokenIn, responses={201: DownloadTokenOut})
    def post(self, request: Request) -> Response:
        """Make a token that opens one repository for five minutes. Nothing is stored."""
        asked = self.message(DownloadTokenIn)
        token = issue_download_token(agent=self.agent, repo=asked.repo)
        return Response(token.model_dump(mode="json"), status=201)


def reader_of(request: Request) -> Reader:
    """The person or the agent behind a request that has been let in."""
    if isinstance(request.auth, Agent):
        return request.auth
    return cast("User", request.user)
