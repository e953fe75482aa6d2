"""Addresses that fail as the real ones might, each in one way."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import RequestDataTooBig, SuspiciousOperation
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.urls import path
from redis.exceptions import ConnectionError as RedisAway
from rest_framework.request import Request
from rest_framework.response import Response

from hub.common.api.permissions import Anyone
from hub.common.api.views import ApiView
from hub.common.errors import StorageFull
from hub.urls import handler400, handler403, handler404, handler500, urlpatterns

FAILURES: dict[str, Exception] = {
    "bug": RuntimeError("the database password is hunter2"),
    "database": OperationalError("server closed the connection"),
    "redis": RedisAway("connection refused"),
    "full": StorageFull("no room", retry_after=60, free_bytes=0),
}


class FailingView(ApiView):
    authentication_classes = ()
    permission_classes = (Anyone,)

    def get(self, request: Request, name: str) -> Response:
        raise FAILURES[name]


@login_not_required
def outside(request: HttpRequest, name: str) -> HttpResponse:
    """Fails outside of REST framework, where Django's own handlers answer."""
    failures: dict[str, Any] = {"bug": RuntimeError("hunter2"), "odd": SuspiciousOperation("?")}
    failures["large"] = RequestDataTooBig("?")
    raise failures[name]


urlpatterns = [
    path("api/v1/failing/<name>", FailingView.as_view()),
    path("api/v1/outside/<name>", outside),
    *urlpatterns,
]

__all__ = ["handler400", "handler403", "handler404", "handler500", "urlpatterns"]
