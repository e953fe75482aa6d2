"""The feed of events: what happened, for those who may see it."""

from __future__ import annotations

from uuid import UUID

from django.db.models import QuerySet

from hub.common.models import Event

SCOPES = frozenset({"organisation_id", "federation_id", "run_id", "subject_id"})


def events_after(*, after: int = 0, **scope: UUID) -> QuerySet[Event]:
    """Events of one scope with an id above `after`, oldest first.

    The scope is what the caller may see, and is never empty. Ids are taken before the commit: of
    two transactions at the same time the later id may show first. Who follows live reads again
    from a little below the last id, and skips what it knows.
    """
    if not scope or set(scope) - SCOPES:
        raise ValueError(f"the scope is one of {sorted(SCOPES)}")
    return Event.objects.filter(id__gt=after, **scope).order_by("id")
