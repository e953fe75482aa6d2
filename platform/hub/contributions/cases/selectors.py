"""Reads of cases: whose they are to see, and what follows from them while they are in force."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.db.models import QuerySet

from hub.accounts.models import User
from hub.contributions.models import IN_FORCE, SUSPECT, TOGETHER, Case
from hub.federations.models import Participation
from hub.federations.selectors import active_participations, federations_of
from hub.organisations.permissions import Permission, granting
from hub.organisations.selectors import organisations_of
from hub.runs.models import Run


def cases_visible_to(user: User) -> QuerySet[Case]:
    """Cases of the federations that the person's organisations take part in."""
    return Case.objects.filter(federation__in=federations_of(user)).select_related(
        "federation", "run", "round", "decided_by"
    )


def clusters_of(run: Run) -> list[set[UUID]]:
    """Who brought the same as somebody else, by cases that are open or upheld.

    Each participation is in one cluster at most: what one shares with two is shared by all three.
    """
    pairs = Case.objects.filter(run=run, kind__in=TOGETHER, state__in=IN_FORCE)
    return joined(pairs.order_by("pk").values_list("participations", flat=True))


def joined(groups: Iterable[Iterable[UUID]]) -> list[set[UUID]]:
    """Groups that have a member in common become one."""
    found: list[set[UUID]] = []
    for group in groups:
        one, apart = set(group), []
        for other in found:
            if other & one:
                one |= other
            else:
                apart.append(other)
        found = [*apart, one]
    return sorted(found, key=lambda one: sorted(map(str, one)))


def suspects_of(run: Run) -> dict[UUID, set[int]]:
    """Whose updates count for nothing, and in which rounds they were noticed."""
    found: dict[UUID, set[int]] = {}
    for case in Case.objects.filter(run=run, kind__in=SUSPECT, state__in=IN_FORCE):
        for one in case.participations:
            found.setdefault(one, set()).update(case.rounds)
    return found


def own_participations(user: User, case: Case) -> QuerySet[Participation]:
    """The participations that the case is about and for which the person speaks."""
    return Participation.objects.filter(
        pk__in=case.participations, organisation__in=organisations_of(user)
    ).select_related("organisation")


def may_decide(user: User, case: Case) -> bool:
    """An owner of the lead, or of any member where it is about the lead; nobody about itself."""
    places = list(active_participations(case.federation_id))
    about = {place.organisation_id for place in places if place.pk in case.participations}
    lead_is_in_it = any(place.is_lead and place.pk in case.participations for place in places)
    judges = {place.organisation_id for place in places if place.is_lead or lead_is_in_it} - about
    own = set(organisations_of(user).values_list("pk", flat=True))
    able = user.memberships.filter(granting(Permission.DECIDE_CASES), organisation__in=judges)
    return not own & about and able.exists()
