"""What a browser's session alone is not enough for."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.request import Request

from hub.accounts.errors import ReauthenticationNeeded
from hub.accounts.factors import was_recently_authenticated
from hub.common.api.authentication import BrowserAuthentication


class RecentlyAuthenticated(BasePermission):
    """For what is dangerous: who comes with a session has just proved who they are.

    Whoever comes with a token made it by proving that; what it may do is said by its scope.
    """

    def has_permission(self, request: Request, view: Any) -> bool:
        """Raises ReauthenticationNeeded."""
        by_session = isinstance(request.successful_authenticator, BrowserAuthentication)
        writes = request.method not in SAFE_METHODS
        if by_session and writes and not was_recently_authenticated(request):
            raise ReauthenticationNeeded("Do it on its page, or with a token that may write.")
        return True
