"""Who am I, and the tokens of my scripts."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.mixins import ListModelMixin
from rest_framework.request import Request
from rest_framework.response import Response

from hub.accounts import selectors, services
from hub.accounts.api import serializers
from hub.accounts.api.authentication import PasswordAuthentication
from hub.accounts.api.permissions import RecentlyAuthenticated
from hub.accounts.models import ApiToken
from hub.common.api.permissions import IsPerson
from hub.common.api.views import ApiView, ReadingViewSet

NOTEBOOK = OpenApiExample(
    "A notebook", value={"name": "notebook", "days": 30, "scope": "read"}, request_only=True
)


class MeView(ApiView):
    permission_classes = (IsPerson,)

    @extend_schema(operation_id="me", responses=serializers.PersonOut)
    def get(self, request: Request) -> Response:
        """The person who asks."""
        return Response(serializers.PersonOut(self.person).data)


class TokenViewSet(ListModelMixin, ReadingViewSet[ApiToken]):
    """Your API tokens. Each is hashed; nobody can show it again."""

    permission_classes = (IsPerson, RecentlyAuthenticated)
    serializer_class = serializers.TokenOut
    lookup_value_converter: ClassVar[str] = "str"
    ordering = ("-created",)

    def get_queryset(self) -> QuerySet[ApiToken]:
        return selectors.tokens_of(self.person)

    def get_authenticators(self) -> list[Any]:
        """A password, too, where a script gets its first token."""
        usual: list[Any] = super().get_authenticators()
        is_post = getattr(self.request, "method", None) == "POST"
        return [*usual, PasswordAuthentication()] if is_post else usual

    @extend_schema(
        request=serializers.TokenIn,
        responses={201: serializers.NewTokenOut},
        examples=[NOTEBOOK],
    )
    def create(self, request: Request) -> Response:
        """Make a token; also with `curl --user address:password`, to get the first one."""
        body = self.validated(serializers.TokenIn)
        by = request.auth if isinstance(request.auth, ApiToken) else None
        token, secret = services.issue_token(user=self.person, by=by, **body)
        token.token = secret  # for the answer alone
        return Response(serializers.NewTokenOut(token).data, status=201)

    create.is_once = False  # type: ignore[attr-defined]  # no secret is kept to be repeated

    @extend_schema(responses={204: None})
    def destroy(self, request: Request, pk: str) -> Response:
        """Revoke a token; acts on the next request."""
        services.revoke_token(user=self.person, token_id=pk)
        return Response(status=204)
