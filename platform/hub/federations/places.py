"""The organisations of a federation as its pages show them: each with its place and its colour."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Exists, Max, OuterRef, Q

from hub.accounts.models import User
from hub.federations.models import Participation, ParticipationState, Standing
from hub.organisations.models import AgentState, Membership

HUES = 8


@dataclass(frozen=True, slots=True)
class Place:
    """A participation on screen. `hue` follows from the order in which they came."""

    id: UUID
    name: str
    slug: str
    hue: int
    rank: int | None
    is_active: bool
    is_lead: bool
    is_own: bool  # the reader acts for this organisation
    seen_at: datetime | None  # when one of its agents was last heard of
    trains: bool = True  # gets tasks: is active, and no observer


def places_in(federation_id: UUID, user: User) -> Mapping[UUID, Place]:
    """All places ever taken in a federation, in the order in which they were asked for."""
    own = Membership.objects.filter(user=user, organisation=OuterRef("organisation"))
    active_agents = Q(organisation__agents__state=AgentState.ACTIVE)
    participations = (
        Participation.objects.filter(federation_id=federation_id)
        .select_related("organisation")
        .annotate(
            is_own=Exists(own),
            seen_at=Max("organisation__agents__last_seen_at", filter=active_agents),
        )
        .order_by("created_at", "pk")
    )
    return {p.pk: _place(p, position) for position, p in enumerate(participations)}


def _place(participation: Participation, position: int) -> Place:
    return Place(
        id=participation.pk,
        name=participation.organisation.name,
        slug=participation.organisation.slug,
        hue=position % HUES,
        rank=participation.rank,
        is_active=participation.state == ParticipationState.ACTIVE,
        is_lead=participation.is_lead,
        trains=participation.state == ParticipationState.ACTIVE
        and participation.standing != Standing.OBSERVER,
        is_own=participation.is_own,  # type: ignore[attr-defined]
        seen_at=participation.seen_at,  # type: ignore[attr-defined]
    )
