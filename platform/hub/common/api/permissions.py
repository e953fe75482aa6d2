"""Who may call a view at all. What they may see there is the selectors' word."""

from __future__ import annotations

from typing import Any

from rest_framework.permissions import AllowAny, BasePermission
from rest_framework.request import Request

from hub.common.actors import Actor


class Denied(BasePermission):
    """Nobody: what a view gets that does not say who may call it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return False


class Anyone(AllowAny):
    """Also who has not signed in. Never for what belongs to somebody."""


class IsPerson(BasePermission):
    """A person, by session or by token."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return _kind(request) == "user"


class IsOperator(IsPerson):
    """A person who operates the hub."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return super().has_permission(request, view) and request.user.is_staff


class IsAgent(BasePermission):
    """An organisation's agent, by its signature."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return _kind(request) == "agent"


class IsPersonOrAgent(BasePermission):
    """Either; the view asks `request.user.actor` whom it serves."""

    def has_permission(self, request: Request, view: Any) -> bool:
        return _kind(request) in {"user", "agent"}


def _kind(request: Request) -> str:
    actor = getattr(request.user, "actor", None)
    return actor.kind if isinstance(actor, Actor) else ""
