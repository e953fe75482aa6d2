"""Periodic work. Each entry sweeps in bounded batches and may run twice at once."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from hub.dispatch import Job


def schedule() -> dict[str, dict[str, Any]]:
    every = settings.RECONCILE_SECONDS
    return {
        "reconcile": {
            "task": Job.RECONCILE.value,
            "schedule": every,
            # A message nobody took before the next one is due is worth nothing.
            "options": {"queue": "periodic", "expires": every},
        },
        "housekeeping": {
            "task": Job.HOUSEKEEPING.value,
            "schedule": 300.0,
            "options": {"queue": "periodic", "expires": 300.0},
        },
    }
