"""Limits on guessing, counted in Redis for all processes together.

When Redis is away the count cannot be known, and the answer is 503, never a free try.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address
from typing import cast

from django.core.cache import cache
from django.http import HttpRequest
from rest_framework.exceptions import Throttled
from rest_framework.request import Request
from rest_framework.settings import api_settings
from rest_framework.throttling import BaseThrottle

SECONDS: Mapping[str, int] = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}
UNKNOWN = "0.0.0.0"  # noqa: S104 (a name for «no address», nothing is bound to it)


class Limit:
    """So many tries in a window; the rates are in the settings, by name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def check(self, ident: str) -> None:
        """Raise `Throttled` when `ident` has used up its tries."""
        tries, seconds = self._rate()
        if cache.get(self._key(ident), 0) >= tries:
            raise Throttled(wait=seconds)

    def spend(self, ident: str) -> None:
        """Count one try; the one beyond the limit raises `Throttled`."""
        tries, seconds = self._rate()
        cache.add(self._key(ident), 0, timeout=seconds)
        try:
            used = cache.incr(self._key(ident))
        except ValueError:  # it ran out between the two
            return
        if used > tries:
            raise Throttled(wait=seconds)

    def _rate(self) -> tuple[int, int]:
        tries, _, window = str(api_settings.DEFAULT_THROTTLE_RATES[self.name]).partition("/")
        return int(tries), SECONDS[window]

    def _key(self, ident: str) -> str:
        return f"limit:{self.name}:{hashlib.sha256(ident.encode()).hexdigest()}"


def address_of(request: Request | HttpRequest) -> str:
    """Where a request comes from; a proxy's word counts only if the settings trust it."""
    try:
        return str(ip_address(BaseThrottle().get_ident(cast("Request", request))))
    except ValueError:  # a unix socket has no address
        return UNKNOWN
