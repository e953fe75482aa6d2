"""For machines that watch: is the process alive, may it be sent requests, and its figures."""

from __future__ import annotations

import asyncio
import hmac

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST

from hub.operations.metrics import exposition
from hub.operations.readiness import checks

RETRY_SECONDS = 5
LOOPBACK = {"127.0.0.1", "::1"}


@login_not_required
@never_cache
@require_safe
async def livez(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """The process answers; nothing else is asked of anybody."""
    return JsonResponse({"status": "ok"})


@login_not_required
@never_cache
@require_safe
async def readyz(request: HttpRequest) -> HttpResponse:  # noqa: ARG001
    """200 when everything that a request may need answers, else 503 with what does not."""
    known = checks()
    results = await asyncio.gather(*(check.get_result() for check in known.values()))
    errors = {name: r.error for name, r in zip(known, results, strict=True)}
    ready = not any(errors.values())
    body = {
        "status": "ok" if ready else "unavailable",
        "checks": {name: str(error) if error else "ok" for name, error in errors.items()},
    }
    headers = {} if ready else {"Retry-After": str(RETRY_SECONDS)}
    return JsonResponse(body, status=200 if ready else 503, headers=headers)


@login_not_required
@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus' text format, for whoever bears METRICS_TOKEN; without one, on this machine."""
    if not may_scrape(request):
        headers = {"WWW-Authenticate": "Bearer"}
        return HttpResponse("401 Unauthorized\n", "text/plain", status=401, headers=headers)
    return HttpResponse(exposition(), content_type=CONTENT_TYPE_LATEST)


def may_scrape(request: HttpRequest) -> bool:
    if settings.METRICS_TOKEN:
        given = request.headers.get("Authorization", "")
        return hmac.compare_digest(given.encode(), f"Bearer {settings.METRICS_TOKEN}".encode())
    came_directly = "X-Forwarded-For" not in request.headers
    return came_directly and request.META.get("REMOTE_ADDR") in LOOPBACK
