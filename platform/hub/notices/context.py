"""What the header shows of notices."""

from __future__ import annotations

from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from hub.accounts.models import User
from hub.notices.selectors import MOST_COUNTED


def unread(request: HttpRequest) -> dict[str, object]:
    """`unread_notices`: the figure as text, empty for none; it has come with the person."""
    return {"unread_notices": SimpleLazyObject(lambda: _figure(request))}


def _figure(request: HttpRequest) -> str:
    user = request.user
    count: int = getattr(user, "unread", 0) if isinstance(user, User) else 0
    if not count:
        return ""
    return f"{MOST_COUNTED}+" if count > MOST_COUNTED else str(count)
