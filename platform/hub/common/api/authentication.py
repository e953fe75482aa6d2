"""How people prove who they are: a token in a header, or the browser's session."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Q
from django.db.models.functions import Now
from django.http import HttpRequest
from django.utils import timezone
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from knox.auth import TokenAuthentication
from knox.models import get_token_model
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed, PermissionDenied
from rest_framework.permissions import SAFE_METHODS
from rest_framework.request import Request

from hub.common.errors import SecondFactorRequired, TokenScope

TOUCHED_EVERY = timedelta(minutes=1)
READ = "read"  # a token's scope


class BearerAuthentication(TokenAuthentication):  # type: ignore[misc]  # knox has no types
    """`Authorization: Bearer foe_…`; notes when the token was last used, to the minute."""

    reading = False  # whether what is asked only reads, whatever its method

    def authenticate(self, request: Request | HttpRequest) -> tuple[Any, Any] | None:
        """Raises TokenScope: the token reads only, and this writes."""
        found: tuple[Any, Any] | None = super().authenticate(request)
        writes = not self.reading and request.method not in SAFE_METHODS
        if found and writes and found[1].scope == READ:
            raise TokenScope("Make one that may write, on your account's page.")
        return found

    def authenticate_credentials(self, token: bytes) -> tuple[Any, Any]:
        """Raises SecondFactorRequired: somebody demands one that the person has not set up."""
        if not token.isascii():
            raise AuthenticationFailed("Invalid token.")
        user, row = super().authenticate_credentials(token)
        if user.owes_second_factor:
            raise SecondFactorRequired("Sign in and set one up: your tokens work again then.")
        before = timezone.now() - TOUCHED_EVERY
        if row.last_used_at is None or row.last_used_at < before:
            stale = Q(last_used_at=None) | Q(last_used_at__lt=before)
            get_token_model().objects.filter(stale, pk=row.pk).update(last_used_at=Now())
        return user, row

    def _cleanup_token(self, auth_token: Any) -> bool:
        """Whether it has expired. The library would look at all others of the person, too."""
        return auth_token.expiry is not None and auth_token.expiry < timezone.now()


class BrowserAuthentication(SessionAuthentication):
    """The session of a signed-in browser; what writes needs the CSRF token too."""

    def enforce_csrf(self, request: Request) -> None:
        # The check looks for a form and reads the stream; a body that is read stays readable.
        _ = request._request.body  # noqa: SLF001 (the framework hides it)
        try:
            super().enforce_csrf(request)
        except PermissionDenied as refused:
            raise PermissionDenied(str(refused.detail), code="csrf_failed") from refused


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "hub.common.api.authentication.BearerAuthentication"
    name = "token"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        about = "A token of yours, made with `POST /api/v1/tokens` or on your profile."
        return {"type": "http", "scheme": "bearer", "description": about}


class BrowserScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "hub.common.api.authentication.BrowserAuthentication"
    name = "browser"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        about = "The session of a signed-in browser, with `X-CSRFToken` for what writes."
        return {"type": "apiKey", "in": "cookie", "name": "session", "description": about}
