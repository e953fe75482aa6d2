"""Reads of federations and participations, scoped to who asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Exists, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.errors import Forbidden, NotFound
from hub.federations.models import (
    DataDeclaration,
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Standing,
)
from hub.federations.permissions import STANDINGS
from hub.organisations.models import (
    Invitation,
    InvitationState,
    Membership,
    Organisation,
    OrganisationState,
)
from hub.organisations.permissions import Permission, granting
from hub.organisations.selectors import memberships_of, organisations_of, organisations_where

MEMBERS = (ParticipationState.ACTIVE, ParticipationState.SUSPENDED)
PRESENT = (ParticipationState.REQUESTED, *MEMBERS)


def federations_of(user: User) -> QuerySet[Federation]:
    """Federations that an organisation of the person takes part in, or is suspended from."""
    seeing = Membership.objects.filter(granting(Permission.SEE_FEDERATIONS), user=user)
    taking_part = Participation.objects.filter(
        organisation__in=seeing.values("organisation"), state__in=MEMBERS
    )
    return Federation.objects.filter(pk__in=taking_part.values("federation"))


def federations_visible_to(user: User) -> QuerySet[Federation]:
    """The person's own, those that their organisations asked to join, and the listed ones.

    Listed federations show themselves to members of approved organisations, others to those whose
    invitation somebody has accepted.
    """
    own = Participation.objects.filter(organisation__in=organisations_of(user))
    approved = organisations_of(user).filter(state=OrganisationState.APPROVED)
    listed = Q(Exists(approved), is_listed=True, state=FederationState.ACTIVE)
    invited = Invitation.objects.filter(
        state=InvitationState.ACCEPTED, accepted_for__in=organisations_of(user)
    )
    near = Q(pk__in=own.values("federation")) | Q(pk__in=invited.values("federation"))
    return Federation.objects.filter(near | listed)


def federations_to_join(user: User) -> QuerySet[Federation]:
    """Listed federations in which no organisation of the person takes part or asks to."""
    own = Participation.objects.filter(
        organisation__in=organisations_of(user), state__in=PRESENT
    ).values("federation")
    lead = Participation.objects.filter(federation=OuterRef("pk"), standing=Standing.LEAD)
    return (
        federations_visible_to(user)
        .filter(is_listed=True, state=FederationState.ACTIVE)
        .exclude(pk__in=own)
        .select_related("base_model")
        .annotate(
            lead=Subquery(lead.values("organisation__name")[:1]),
            members=_places("pk", ParticipationState.ACTIVE),
        )
        .order_by("name")
    )


def organisations_to_join(user: User, federation: Federation) -> QuerySet[Organisation]:
    """The person's own for which they may sign the charter, and which are not in yet."""
    there = federation.participations.exclude(
        state__in=(ParticipationState.REFUSED, ParticipationState.LEFT)
    )
    own = organisations_where(user, Permission.SIGN_CHARTERS)
    return own.exclude(pk__in=there.values("organisation"))


def places_of(user: User) -> QuerySet[Participation]:
    """Where the person's organisations take part or ask to, with how many others do."""
    return (
        Participation.objects.filter(organisation__in=organisations_of(user), state__in=PRESENT)
        .select_related("organisation", "federation__base_model")
        .annotate(
            members=_places("federation", ParticipationState.ACTIVE),
            waiting=_places("federation", ParticipationState.REQUESTED),
        )
        .order_by("federation__name", "organisation__name")
    )


def _places(federation: str, state: str) -> Coalesce:
    """How many places in this state the federation of the outer row has."""
    counted = (
        Participation.objects.filter(federation=OuterRef(federation), state=state)
        .order_by()
        .values("federation")
        .annotate(count=Count("pk"))
    )
    return Coalesce(Subquery(counted.values("count")), 0)


def participations_of(federation: Federation) -> QuerySet[Participation]:
    """All places in the federation, the lead's first, then by when they asked."""
    return federation.participations.select_related("organisation").order_by("created_at")


def active_participations(federation_id: UUID) -> QuerySet[Participation]:
    return (
        Participation.objects.filter(federation_id=federation_id, state=ParticipationState.ACTIVE)
        .select_related("organisation")
        .order_by("created_at")
    )


def contributing(federation_id: UUID) -> QuerySet[Participation]:
    """Members that get tasks: all but observers."""
    return active_participations(federation_id).exclude(standing=Standing.OBSERVER)


def places_of_organisation(organisation_id: UUID) -> QuerySet[Participation]:
    """Where it takes part."""
    return Participation.objects.filter(
        organisation=organisation_id, state=ParticipationState.ACTIVE
    ).order_by("pk")


def participations_visible_to(user: User) -> QuerySet[Participation]:
    """All places in the person's federations; elsewhere those of their own organisations."""
    visible = Q(federation__in=federations_of(user)) | Q(organisation__in=organisations_of(user))
    return Participation.objects.filter(visible).select_related("organisation", "federation")


def require_place(
    user: User, federation_id: UUID, permission: Permission = Permission.SEE_FEDERATIONS
) -> Participation:
    """The participation through which the person may; the lead's before others.

    Who is suspended sees, and does nothing.

    Raises:
        NotFound: they do not belong, or there is no such federation.
        Forbidden: neither place nor role of theirs carries the permission.
    """
    held = {one.organisation_id: one for one in memberships_of(user)}
    places = Participation.objects.filter(
        federation=federation_id, state__in=MEMBERS, organisation__in=held
    ).select_related("organisation")
    found = sorted(places.order_by("created_at"), key=lambda place: not place.is_lead)
    if not found:
        raise NotFound("no such federation")
    standing = [place for place in found if permission in carried_by(place)]
    able = [place for place in standing if held[place.organisation_id].may(permission)]
    if not able:
        raise Forbidden(_lacking(permission, standing, found[0]))
    return able[0]


def carried_by(place: Participation) -> frozenset[Permission]:
    """What the place lets its organisation's people do, as far as their roles do."""
    is_suspended = place.state == ParticipationState.SUSPENDED
    return STANDINGS[Standing.OBSERVER if is_suspended else place.standing]


def _lacking(
    permission: Permission, standing: Sequence[Participation], place: Participation
) -> str:
    if standing:
        return _("Your role may not %(act)s.") % {"act": permission.label}
    if place.state == ParticipationState.SUSPENDED:
        said = _("%(organisation)s is suspended here: it may not %(act)s.")
        return said % {"organisation": place.organisation, "act": permission.label}
    if permission in STANDINGS[Standing.CONTRIBUTOR]:
        said = _("%(organisation)s only observes: it may not %(act)s.")
        return said % {"organisation": place.organisation, "act": permission.label}
    return _("This is for the lead organisation: to %(act)s.") % {"act": permission.label}


def declaration_of(participation_id: UUID) -> DataDeclaration | None:
    """What the organisation has declared of its data, the newest; None: nothing yet."""
    return DataDeclaration.objects.filter(participation=participation_id).first()


def declarations_in(federation: Federation) -> dict[UUID, DataDeclaration]:
    """By participation, the newest that was declared; one query."""
    newest = (
        DataDeclaration.objects.filter(participation__federation=federation)
        .select_related("signed_by")
        .order_by("participation_id", "-number")
        .distinct("participation_id")
    )
    return {one.participation_id: one for one in newest}


@dataclass(frozen=True, slots=True)
class Seat:
    """A participation as one person sees it. `position` gives its colour in the federation."""

    place: Participation
    position: int
    membership: Membership | None  # the person's in that organisation, if any
    declared: DataDeclaration | None = None  # what its organisation has signed of its data

    def may(self, permission: Permission) -> bool:
        """Whether the person's role and the place carry the permission; active or not."""
        is_able = self.membership is not None and self.membership.may(permission)
        return is_able and permission in carried_by(self.place)

    @property
    def may_sign(self) -> bool:
        return self.may(Permission.SIGN_CHARTERS)

    @property
    def is_present(self) -> bool:
        return self.place.state in PRESENT

    @property
    def is_active(self) -> bool:
        return self.place.state == ParticipationState.ACTIVE


@dataclass(frozen=True, slots=True)
class Standpoint:
    """All seats of a federation, and what they allow one person."""

    seats: Sequence[Seat]
    may_join: bool

    @property
    def own(self) -> Sequence[Seat]:
        return [seat for seat in self.seats if seat.membership and seat.is_present]

    @property
    def is_inside(self) -> bool:
        return any(seat.place.state in MEMBERS for seat in self.own)

    @property
    def lead(self) -> Seat | None:
        return next((seat for seat in self.seats if seat.place.is_lead), None)

    def may(self, permission: Permission) -> bool:
        """Whether the person may do so in the federation, through any of their places."""
        return any(seat.place.state in MEMBERS and seat.may(permission) for seat in self.own)

    @property
    def may_admit(self) -> bool:
        return self.may(Permission.ADMIT_MEMBERS)

    @property
    def may_propose(self) -> bool:
        return self.may(Permission.MAKE_PROPOSALS)

    @property
    def may_steer(self) -> bool:
        return self.may(Permission.STEER_FEDERATIONS)

    @property
    def requests(self) -> Sequence[Seat]:
        return [seat for seat in self.seats if seat.place.state == ParticipationState.REQUESTED]

    @property
    def members(self) -> Sequence[Seat]:
        """Whoever takes part, asks to, or did; not those who were refused."""
        return [seat for seat in self.seats if seat.place.state != ParticipationState.REFUSED]

    @property
    def active_count(self) -> int:
        return sum(seat.is_active for seat in self.seats)


def standpoint(user: User, federation: Federation, *, with_data: bool = True) -> Standpoint:
    """`with_data`: each seat with what its organisation has declared."""
    places = participations_of(federation).select_related("signed_by").order_by("created_at", "pk")
    held = {one.organisation_id: one for one in memberships_of(user)}
    declared = declarations_in(federation) if with_data else {}
    seats = [
        Seat(place, position, held.get(place.organisation_id), declared.get(place.pk))
        for position, place in enumerate(places)
    ]
    is_inside = any(seat.membership and seat.place.state in MEMBERS for seat in seats)
    may_join = not is_inside and organisations_to_join(user, federation).exists()
    return Standpoint(seats, may_join=may_join)
