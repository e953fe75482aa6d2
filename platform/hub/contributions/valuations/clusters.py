"""Who brought the same as somebody else, by the cases that say so."""

from __future__ import annotations

from uuid import UUID

from hub.contributions.cases.selectors import clusters_of
from hub.runs.models import Run


def clusters_in(run: Run) -> list[set[UUID]]:
    """Participations that play as one; each is in one of them at most."""
    return clusters_of(run)
