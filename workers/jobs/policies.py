"""How patiently jobs are retried. Only what may heal is retried; a refusal is recorded."""

from __future__ import annotations

from typing import Any

from django.db import OperationalError

from hub.common.errors import DependencyDown

PATIENT: dict[str, Any] = {
    "autoretry_for": (OperationalError, DependencyDown),
    "retry_backoff": 2,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 8,
}
