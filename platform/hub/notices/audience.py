"""Who is told: by what their role lets them do, in an organisation or in a whole federation.

People see a notice through an organisation while they act for it. Some are told for themselves:
operators, whoever a token belongs to, whoever was invited.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from allauth.account.models import EmailAddress

from hub.accounts.models import User
from hub.common.models import Event
from hub.contributions.models import Case
from hub.federations.models import Participation, ParticipationState, Standing
from hub.federations.permissions import STANDINGS
from hub.organisations.models import Invitation, Membership
from hub.organisations.permissions import Permission, granting

Organisations: TypeAlias = Callable[[Event, Permission], Collection[UUID]]
People: TypeAlias = Callable[[Event], Collection[UUID]]


@dataclass(frozen=True, slots=True)
class Recipient:
    user_id: UUID
    organisation_id: UUID | None  # through which they are told; None: for themselves


def nobody(_event: Event) -> Collection[UUID]:
    return ()


def none_of_them(_event: Event, _permission: Permission) -> Collection[UUID]:
    return ()


@dataclass(frozen=True, slots=True)
class Audience:
    """Those with the permission in some organisations, and people for themselves."""

    permission: Permission = Permission.SEE_ORGANISATION
    organisations: Organisations = none_of_them
    people: People = nobody

    def organisations_of(self, event: Event) -> list[UUID]:
        """In the order in which a person with several is told through them."""
        return list(self.organisations(event, self.permission))

    def recipients(self, event: Event) -> list[Recipient]:
        """Active people, once for each organisation that they are told through."""
        told = self.organisations_of(event)
        held = Membership.objects.filter(
            granting(self.permission), organisation__in=told, user__is_active=True
        )
        places = held.values_list("user_id", "organisation_id") if told else ()
        through = [Recipient(user_id, organisation_id) for user_id, organisation_id in places]
        through.sort(key=lambda one: (told.index(one.organisation_id), one.user_id))  # type: ignore[arg-type]
        themselves = [Recipient(user_id, None) for user_id in sorted(self.people(event))]
        return [*through, *themselves]


def of_organisation(permission: Permission) -> Audience:
    """People of the organisation that the event is about."""
    return Audience(permission, organisations=_own)


def of_federation(permission: Permission) -> Audience:
    """People of all members whose standing carries the permission, the lead's before others."""
    return Audience(permission, organisations=_members)


def of_case(permission: Permission) -> Audience:
    """People of the lead, and of those whom the case is about."""
    return Audience(permission, organisations=_concerned)


def operators() -> Audience:
    return Audience(people=_operators)


def the_person() -> Audience:
    """Whom the event is about."""
    return Audience(people=_subject)


def whoever_is_invited() -> Audience:
    """Whoever has confirmed that the address is theirs, if anybody has."""
    return Audience(people=_invited)


def _own(event: Event, _permission: Permission) -> Collection[UUID]:
    return [event.organisation_id] if event.organisation_id else []


def _members(event: Event, permission: Permission) -> Collection[UUID]:
    able = [standing for standing, carried in STANDINGS.items() if permission in carried]
    places = Participation.objects.filter(
        federation=event.federation_id, state=ParticipationState.ACTIVE, standing__in=able
    )
    found = places.order_by("created_at").values_list("organisation_id", "standing")
    return [pk for pk, _ in sorted(found, key=lambda place: place[1] != Standing.LEAD)]


def _concerned(event: Event, _permission: Permission) -> Collection[UUID]:
    about = Case.objects.filter(pk=event.subject_id).values_list("participations", flat=True)
    concerned = {pk for participations in about for pk in participations}
    places = Participation.objects.filter(
        federation=event.federation_id, state=ParticipationState.ACTIVE
    ).values_list("pk", "organisation_id", "standing")
    return [
        organisation_id
        for pk, organisation_id, standing in places
        if standing == Standing.LEAD or pk in concerned
    ]


def _operators(_event: Event) -> Collection[UUID]:
    return set(User.objects.filter(is_staff=True, is_active=True).values_list("pk", flat=True))


def _subject(event: Event) -> Collection[UUID]:
    found = User.objects.filter(pk=event.subject_id, is_active=True)
    return set(found.values_list("pk", flat=True))


def _invited(event: Event) -> Collection[UUID]:
    address = Invitation.objects.filter(pk=event.subject_id).values("email")
    confirmed = EmailAddress.objects.filter(email__in=address, verified=True, user__is_active=True)
    return set(confirmed.values_list("user_id", flat=True))
