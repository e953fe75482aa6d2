"""What lies on a person's desk: what needs them, the first steps, and what goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from hub.accounts.models import User
from hub.federations.models import Participation, ParticipationState
from hub.home import selectors
from hub.notices.selectors import Item, items, needs_of
from hub.organisations.models import Membership, OrganisationState
from hub.organisations.selectors import (
    Sighting,
    agents_of,
    memberships_of,
    sightings,
)
from hub.runs.models import Run

ASKED_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Need:
    """Something that waits for this person, and where they do it."""

    title: str
    text: str
    url: str
    action: str


class Desk:
    """Each part is read when the template first asks for it."""

    def __init__(self, user: User) -> None:
        self.user = user

    @cached_property
    def memberships(self) -> Sequence[Membership]:
        return list(memberships_of(self.user))

    @cached_property
    def places(self) -> Sequence[Participation]:
        return list(selectors.places_with_runs(self.user))

    @cached_property
    def agents(self) -> Sequence[Sighting]:
        """Those in force; revoked ones are on their own page."""
        return [one for one in sightings(agents_of(self.user)) if not one.agent.is_final]

    @cached_property
    def live(self) -> Sequence[Run]:
        return list(selectors.live_runs(self.user))

    @cached_property
    def results(self) -> Sequence[selectors.Result]:
        return selectors.latest_results(self.user)

    @cached_property
    def asked(self) -> Sequence[Item]:
        """What the person was told that needs them; the inbox has all of it."""
        return items(needs_of(self.user)[:ASKED_SHOWN])

    @cached_property
    def needs(self) -> Sequence[Need]:
        """What nobody was told, for it is no event: that something is missing."""
        return [*self._stopped(), *self._unmanned()]

    @property
    def is_more_asked(self) -> bool:
        return len(self.asked) == ASKED_SHOWN

    @property
    def lead(self) -> str:
        """The page's first sentence."""
        count = len(self.asked) + len(self.needs)
        if self.is_more_asked:
            return _("Many things need you.")
        if count:
            asked = ngettext("%(count)s thing needs you.", "%(count)s things need you.", count)
            return asked % {"count": count}
        if self.steps:
            return _("Welcome, %(name)s. These steps lead to a first run.") % {"name": self.user}
        return _("Nothing needs you at the moment.")

    @cached_property
    def steps(self) -> Mapping[str, str]:
        """The way to a first run, each step with its state; nothing once it has been gone."""
        done = {
            "register": bool(self.memberships),
            "approval": any(map(_is_approved, self.memberships)),
            "agent": bool(self.agents),
            "federation": bool(self.joined),
            "run": any(place.has_runs for place in self.joined),  # type: ignore[attr-defined]
        }
        current = next((name for name, is_done in done.items() if not is_done), None)
        if current is None:
            return {}
        ahead = {name: "running" if name == current else "queued" for name in done}
        return {name: "completed" if done[name] else ahead[name] for name in done}

    @property
    def joined(self) -> Sequence[Participation]:
        return [place for place in self.places if place.state == ParticipationState.ACTIVE]

    @property
    def waiting(self) -> Sequence[Participation]:
        """Where one of the person's organisations asks to join."""
        return [place for place in self.places if place.state == ParticipationState.REQUESTED]

    def _stopped(self) -> Iterator[Need]:
        for organisation in (place.organisation for place in self.memberships):
            if organisation.state in {OrganisationState.SUSPENDED, OrganisationState.REFUSED}:
                yield Need(
                    title=_("%(organisation)s is %(state)s")
                    % {"organisation": organisation, "state": organisation.get_state_display()},
                    text=_("It takes no part until an operator of this hub decides otherwise."),
                    url=reverse("organisations:detail", args=[organisation.slug]),
                    action=_("See why"),
                )

    def _unmanned(self) -> Iterator[Need]:
        """Organisations without an agent beside one that has some; else it is a first step."""
        manned = {one.agent.organisation_id for one in self.agents}
        organisations = {place.organisation_id: place.organisation for place in self.joined}
        for pk, organisation in organisations.items():
            if manned and pk not in manned:
                yield Need(
                    title=_("%(organisation)s has no agent") % {"organisation": organisation},
                    text=_("It takes part in a federation, but nobody does its work."),
                    url=reverse("organisations:enrol") + f"?for={organisation.slug}",
                    action=_("Enrol an agent"),
                )


def _is_approved(place: Membership) -> bool:
    return place.organisation.state == OrganisationState.APPROVED
