"""Writes that every app needs: answers given once, slugs nobody has, letting go of what is old."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.text import slugify

from hub.common.errors import KeyReused
from hub.common.models import IdempotentRequest, OutboxMessage

OUTBOX_KEPT = timedelta(days=1)
ANSWERS_KEPT = timedelta(days=30)
SLUG_LENGTH = 50
# Taken under /hf, where federations and base models live side by side, and by pages beside theirs.
RESERVED = frozenset({"api", "base", "datasets", "models", "new", "register", "spaces"})


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: Any  # JSON
    is_repeated: bool = False


@transaction.atomic
def answer_once(*, scope: str, key: str, digest: str, answer: Callable[[], Answer]) -> Answer:
    """Call `answer` for the first request under this key and keep what it says for the others.

    The row comes first, in the transaction of what `answer` writes: a second request at the same
    time waits at the unique index and then gets the kept answer. A refusal keeps nothing.

    Raises:
        KeyReused: the key belongs to a request with another digest.
    """
    row = IdempotentRequest(scope=scope, key=key, request_digest=digest)
    IdempotentRequest.objects.bulk_create([row], ignore_conflicts=True)
    row = IdempotentRequest.objects.select_for_update().get(scope=scope, key=key)
    if row.status is None:
        given = answer()
        row.status, row.response = given.status, given.body
        row.save(update_fields=["status", "response"])
        return given
    if row.request_digest != digest:
        raise KeyReused("Take a new key for a new request.")
    return Answer(row.status, row.response, is_repeated=True)


def slugs_for(name: str, *, fallback: str) -> Iterator[str]:
    """Candidates for a slug, best first; the unique constraint says which is free."""
    slug = slugify(name)[:SLUG_LENGTH].strip("-_") or fallback
    if slug not in RESERVED:
        yield slug
    for number in range(2, 10):
        yield f"{slug}-{number}"
    yield f"{slug}-{secrets.token_hex(4)}"


def violated(error: IntegrityError) -> str:
    """Name of the constraint that the database refused to break."""
    diagnosis = getattr(error.__cause__, "diag", None)
    return str(getattr(diagnosis, "constraint_name", None) or "")


def prune() -> None:
    """Delete outbox rows that were sent long ago, and answers that nobody will ask for again."""
    now = timezone.now()
    OutboxMessage.objects.filter(sent_at__lt=now - OUTBOX_KEPT).delete()
    IdempotentRequest.objects.filter(created_at__lt=now - ANSWERS_KEPT).delete()
