"""Reads of proposals and votes, scoped to who asks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Exists, OuterRef, QuerySet

from hub.accounts.models import User
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
    Standing,
    Vote,
)
from hub.federations.selectors import active_participations, federations_of
from hub.organisations.permissions import Permission
from hub.organisations.selectors import memberships_of

VOICED = (Standing.LEAD, Standing.CONTRIBUTOR)


def proposals_visible_to(user: User) -> QuerySet[Proposal]:
    """All of the person's federations, the newest first."""
    return Proposal.objects.filter(federation__in=federations_of(user)).select_related(
        "federation", "participation__organisation", "proposed_by", "decided_by"
    )


def places_with_voice(federation: Federation, *, only_lead: bool = False) -> Sequence[UUID]:
    """Who votes on what is proposed now: active places that do not merely observe."""
    standings = (Standing.LEAD,) if only_lead else VOICED
    found = active_participations(federation.pk).filter(standing__in=standings)
    return list(found.values_list("pk", flat=True))


def voices_of(user: User, proposal: Proposal) -> list[Participation]:
    """The places with a voice in it for which the person may vote."""
    able = [one.organisation_id for one in memberships_of(user) if one.may(Permission.VOTE)]
    places = Participation.objects.filter(
        pk__in=proposal.electorate, organisation__in=able, state=ParticipationState.ACTIVE
    )
    return list(places.select_related("organisation").order_by("created_at"))


def open_for(user: User) -> QuerySet[Proposal]:
    """Open proposals on which an organisation has not voted for which the person may.

    What closes first comes first.
    """
    able = [one.organisation_id for one in memberships_of(user) if one.may(Permission.VOTE)]
    active = Participation.objects.filter(organisation__in=able, state=ParticipationState.ACTIVE)
    places = list(active.values_list("pk", flat=True))
    voted = Vote.objects.filter(proposal=OuterRef("pk"), participation__in=places)
    return (
        Proposal.objects.filter(state=ProposalState.OPEN, electorate__overlap=places)
        .exclude(Exists(voted))
        .select_related("federation", "participation__organisation")
        .order_by("closes_at")
    )
