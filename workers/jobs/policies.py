"""How patiently jobs are retried. Only what may heal is retried; a refusal is recorded.

A message that names nothing we have is dropped with one line in the log: whoever reaches the
broker can put such messages there, and nothing but the database says what there is to do.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import OperationalError

from hub.common.errors import DependencyDown, NotFound

PATIENT: dict[str, Any] = {
    "autoretry_for": (OperationalError, DependencyDown),
    "retry_backoff": 2,
    "retry_backoff_max": 60,
    "retry_jitter": True,
    "max_retries": 8,
    "throws": (NotFound,),
}


def identifier(text: str) -> UUID:
    """The id that a message carries; raises NotFound where it is none."""
    try:
        return UUID(text)
    except (AttributeError, TypeError, ValueError) as wrong:
        raise NotFound("a message names nothing that could exist") from wrong
