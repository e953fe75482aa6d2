"""How long a request may wait for what it asks for; see `hub.common.handler.until_woken`."""

from __future__ import annotations

import time

from django.http import HttpRequest

LONGEST_WAIT = 25.0  # seconds


def wait_until(request: HttpRequest, seconds: float) -> float:
    """When the request's patience ends, on the monotonic clock: the same at each of its looks."""
    known: float | None = getattr(request, "wait_until", None)
    if known is None:
        known = time.monotonic() + max(0.0, min(seconds, LONGEST_WAIT))
        request.wait_until = known  # type: ignore[attr-defined]
    return known
