"""Reads of federations and participations, scoped to who asks."""

from __future__ import annotations

from uuid import UUID

from django.db.models import Q, QuerySet

from hub.accounts.models import User
from hub.common.errors import Forbidden, NotFound
from hub.federations.models import (
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Standing,
)
from hub.organisations.models import OrganisationState
from hub.organisations.selectors import organisations_of


def federations_of(user: User) -> QuerySet[Federation]:
    """Federations that an organisation of the person takes part in at present."""
    taking_part = Participation.objects.filter(
        organisation__in=organisations_of(user), state=ParticipationState.ACTIVE
    )
    return Federation.objects.filter(pk__in=taking_part.values("federation"))


def federations_visible_to(user: User) -> QuerySet[Federation]:
    """The person's own, those that their organisations asked to join, and the listed ones.

    Listed federations show themselves to members of approved organisations.
    """
    own = Participation.objects.filter(organisation__in=organisations_of(user))
    visible = Q(pk__in=own.values("federation"))
    if organisations_of(user).filter(state=OrganisationState.APPROVED).exists():
        visible |= Q(is_listed=True, state=FederationState.ACTIVE)
    return Federation.objects.filter(visible)


def participations_of(federation: Federation) -> QuerySet[Participation]:
    """All places in the federation, the lead's first, then by when they asked."""
    return federation.participations.select_related("organisation").order_by("created_at")


def active_participations(federation_id: UUID) -> QuerySet[Participation]:
    return (
        Participation.objects.filter(federation_id=federation_id, state=ParticipationState.ACTIVE)
        .select_related("organisation")
        .order_by("created_at")
    )


def participations_visible_to(user: User) -> QuerySet[Participation]:
    """All places in the person's federations; elsewhere those of their own organisations."""
    visible = Q(federation__in=federations_of(user)) | Q(organisation__in=organisations_of(user))
    return Participation.objects.filter(visible).select_related("organisation", "federation")


def require_participant(user: User, federation_id: UUID) -> Participation:
    """The active participation through which the person belongs; the lead's before others.

    Raises:
        NotFound: they do not belong, or there is no such federation.
    """
    places = active_participations(federation_id).filter(organisation__in=organisations_of(user))
    found = sorted(places, key=lambda place: not place.is_lead)
    if not found:
        raise NotFound("no such federation")
    return found[0]


def require_lead(user: User, federation_id: UUID, *roles: str) -> Participation:
    """The lead's participation, if the person acts for it; with roles named, in one of them.

    Raises:
        NotFound: they do not belong to the federation.
        Forbidden: they belong to it through another organisation, or with another role.
    """
    place = require_participant(user, federation_id)
    if place.standing != Standing.LEAD:
        raise Forbidden("This is for the lead organisation.")
    is_allowed = place.organisation.memberships.filter(user=user, role__in=roles).exists()
    if roles and not is_allowed:
        raise Forbidden(f"This needs the role {' or '.join(roles)}.")
    return place
