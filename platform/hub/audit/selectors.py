"""The record of what happened, as far as a person may read it; and who signed which text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.models import LicenceAcceptance
from hub.common.errors import Forbidden
from hub.common.models import Event
from hub.federations.models import Participation, ParticipationState, Signature
from hub.organisations.models import Membership
from hub.organisations.permissions import Permission, granting


@dataclass(frozen=True, slots=True)
class Readable:
    """Whose events a person may read. Operators read everybody's, and everything else that is."""

    user: User
    organisations: tuple[UUID, ...]
    federations: tuple[UUID, ...]

    @property
    def is_all(self) -> bool:
        return bool(self.user.is_staff)

    def events(self) -> QuerySet[Event]:
        """Those of these organisations and federations, and whatever the person did."""
        if self.is_all:
            return Event.objects.all()
        return Event.objects.filter(
            Q(organisation_id__in=self.organisations)
            | Q(federation_id__in=self.federations)
            | Q(actor_id=self.user.pk)
        )

    def signatures(self) -> QuerySet[Signature]:
        """Under charters, the newest first."""
        found = Signature.objects.select_related(
            "participation__organisation", "version__federation", "signed_by"
        ).order_by("-signed_at", "-pk")
        if self.is_all:
            return found
        return found.filter(
            Q(participation__organisation__in=self.organisations)
            | Q(participation__federation__in=self.federations)
        )

    def acceptances(self) -> QuerySet[LicenceAcceptance]:
        """Of base models' licences, the newest first."""
        found = LicenceAcceptance.objects.select_related(
            "organisation", "base_model", "accepted_by"
        ).order_by("-created_at", "-pk")
        return found if self.is_all else found.filter(organisation__in=self.organisations)


def readable_by(user: User) -> Readable:
    """What the person's roles let them read: their organisations, and the federations of those.

    Raises:
        Forbidden: none of their roles does, and they are no operator.
    """
    if user.is_staff:
        return Readable(user, (), ())
    reading = Membership.objects.filter(granting(Permission.READ_AUDIT), user=user)
    organisations = tuple(reading.values_list("organisation_id", flat=True))
    if not organisations:
        raise Forbidden(_("Your role may not %(label)s.") % {"label": Permission.READ_AUDIT.label})
    places = Participation.objects.filter(
        organisation__in=organisations, state=ParticipationState.ACTIVE
    )
    return Readable(user, organisations, tuple(places.values_list("federation_id", flat=True)))


def may_read(user: User) -> bool:
    """Whether there is anything for the person to read here."""
    reading = Membership.objects.filter(granting(Permission.READ_AUDIT), user=user.pk)
    return bool(user.is_staff) or reading.exists()


@dataclass(frozen=True, slots=True)
class Question:
    """What to look for; what is not said narrows nothing."""

    person: UUID | None = None  # who acted
    organisation: UUID | None = None
    federation: UUID | None = None
    run: UUID | None = None
    object: UUID | None = None  # what it happened to
    action: str = ""  # a kind of event, or its first half
    since: datetime | None = None
    until: datetime | None = None

    def of(self, events: QuerySet[Event]) -> QuerySet[Event]:
        named = {
            "actor_id": self.person,
            "organisation_id": self.organisation,
            "federation_id": self.federation,
            "run_id": self.run,
            "subject_id": self.object,
            "at__gte": self.since,
            "at__lt": self.until,
        }
        events = events.filter(**{name: value for name, value in named.items() if value})
        if "." in self.action:
            return events.filter(kind=self.action)
        return events.filter(kind__startswith=f"{self.action}.") if self.action else events

    def said(self) -> dict[str, str]:
        """What was asked for, as it is kept with an export."""
        return {name: str(value) for name in self.__slots__ if (value := getattr(self, name))}
