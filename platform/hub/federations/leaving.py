"""Leaving a federation: at once, or when the round that the organisation trains in has ended.

The record of what it gave stays. Its agents lose the federation with their next request.
"""

from __future__ import annotations

from collections.abc import Mapping
from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import NotFound
from hub.common.wakeups import wake
from hub.federations.entries import tell_ended
from hub.federations.errors import LeadStays
from hub.federations.models import (
    FederationState,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
)
from hub.federations.proposals.acts import NO_WISH, end_work, lock_place, move
from hub.federations.proposals.deciding import close, count_of, lock_federation
from hub.federations.selectors import MEMBERS
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission


@transaction.atomic
def leave(
    *, user: User, participation_id: UUID, reason: str = "", after_round: bool = False
) -> Participation:
    """Leave a federation, or take back the wish to join. Doing it twice changes nothing.

    `after_round`: the place gets no work of another round, and ends once the present one has;
    whoever has no work in any round is gone with the next sweep. Without it, such a wish is
    carried out now.

    Raises:
        NotFound, Forbidden: the person is not an owner of that organisation.
        LeadStays: somebody must lead a federation that is not dissolved.
    """
    place = _own(user, participation_id)
    if place.is_lead and place.federation.state != FederationState.DISSOLVED:
        raise LeadStays(_("Another one takes the lead first, or the federation is dissolved."))
    reason = text.line(reason, most=500)
    if place.state == ParticipationState.LEFT:
        return place
    if after_round and place.state in MEMBERS:
        return _wish(place, user, reason)
    return _end(place, user, reason)


@transaction.atomic
def stay(*, user: User, participation_id: UUID) -> Participation:
    """Take back the wish to leave, as long as it was not carried out. Twice is once.

    Raises:
        NotFound, Forbidden: the person is not an owner of that organisation.
    """
    place = _own(user, participation_id)
    if place.leaving_since is not None:
        _note(place, NO_WISH)
        place.record("stays", actor=user.actor, data=_said(place))
        wake(f"federation:{place.federation_id}")
    return place


@transaction.atomic
def leave_as_wished(*, participation_id: UUID) -> Participation:
    """Carry out the wish of a place whose round has ended; its caller has looked. Twice is once."""
    place = _locked(participation_id)
    if place.leaving_since is not None and place.leaving_by is not None and not place.is_lead:
        return _end(place, place.leaving_by, place.leaving_reason)
    return place


def leaving() -> QuerySet[Participation]:
    """Places that wish to leave."""
    return Participation.objects.filter(leaving_since__isnull=False)


def _wish(place: Participation, user: User, reason: str) -> Participation:
    if place.leaving_since is None:
        wish = {"leaving_since": timezone.now(), "leaving_by": user, "leaving_reason": reason}
        _note(place, wish)
        place.record("leaving", actor=user.actor, reason=reason, data=_said(place))
        wake(f"federation:{place.federation_id}")
    return place


def _end(place: Participation, user: User, reason: str) -> Participation:
    took_part = place.state in MEMBERS
    move(place, ParticipationState.LEFT, actor=user.actor, reason=reason, **NO_WISH)
    if took_part:
        tell_ended(place, reason)
        end_work(place)
    for proposal in _asking(place):
        close(proposal, ProposalState.WITHDRAWN, count_of(proposal), user=user)
    return place


def _asking(place: Participation) -> QuerySet[Proposal]:
    """The open votes on letting it in."""
    about = {"kind": "admit", "terms__participation": str(place.pk)}
    found = place.federation.proposals.filter(state=ProposalState.OPEN, **about)
    return found.select_related("federation", "participation__organisation")


def _own(user: User, participation_id: UUID) -> Participation:
    place = _locked(participation_id)
    require_permission(user, place.organisation_id, Permission.SIGN_CHARTERS)
    return place


def _locked(participation_id: UUID) -> Participation:
    """The place after its federation: both are held."""
    found = Participation.objects.filter(pk=participation_id)
    federation_id = found.values_list("federation_id", flat=True).first()
    if federation_id is None:
        raise NotFound("no such participation")
    federation = lock_federation(federation_id)
    place = lock_place(participation_id)
    place.federation = federation
    return place


def _note(place: Participation, columns: Mapping[str, object]) -> None:
    for name, value in columns.items():
        setattr(place, name, value)
    place.save(update_fields=[*columns])


def _said(place: Participation) -> dict[str, object]:
    return {"organisation": place.organisation.name, "federation": place.federation.name}
