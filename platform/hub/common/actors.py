"""Who does something: a person, an agent, or the hub itself. Named in every event."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.utils.translation import gettext_noop as _noop


@dataclass(frozen=True, slots=True)
class Actor:
    kind: str  # "user", "agent" or "hub"
    id: UUID | None
    label: str  # what people read in the feed
    organisation_id: UUID | None = None


HUB = Actor(kind="hub", id=None, label=_noop("the hub"))
