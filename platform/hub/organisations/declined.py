"""Tasks that agents declined by their sites' policies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import FilteredRelation, Q, QuerySet
from django.utils.text import capfirst
from django.utils.translation import gettext as _

from federation.protocol import DECLINED_BY_POLICY
from hub.common.sentences import DOING
from hub.organisations.models import Agent

DECLINES_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Decline:
    """A task that an agent declined by its site's policy."""

    agent_id: UUID
    agent: str
    type: str  # of the task: train or evaluate
    federation: str
    run_id: UUID
    run: str
    round_id: UUID
    round: int
    detail: str  # «rule: words»
    at: datetime

    @property
    def words(self) -> str:
        return capfirst(_(DOING.get(self.type, self.type)))

    @property
    def rule(self) -> str:
        return self.detail.partition(": ")[0]

    @property
    def limit(self) -> str:
        return self.detail.partition(": ")[2]


DECLINE = {
    "agent_id": "pk",
    "agent": "name",
    "type": "declined__type",
    "federation": "declined__round__run__federation__name",
    "run_id": "declined__round__run_id",
    "run": "declined__round__run__name",
    "round_id": "declined__round_id",
    "round": "declined__round__number",
    "detail": "declined__failure_detail",
    "at": "declined__ended_at",
}


def declines(agents: QuerySet[Agent]) -> list[Decline]:
    """The last tasks that these agents declined, the newest first, in one query."""
    by_policy = FilteredRelation("tasks", condition=Q(tasks__failure_code=DECLINED_BY_POLICY))
    rows = (
        agents.select_related(None)
        .annotate(declined=by_policy)
        .filter(declined__isnull=False)
        .order_by("-declined__ended_at", "-declined__pk")
        .values_list(*DECLINE.values())[:DECLINES_SHOWN]
    )
    return [Decline(**dict(zip(DECLINE, row, strict=True))) for row in rows]
