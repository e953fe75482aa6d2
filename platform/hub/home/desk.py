"""What lies on a person's desk: what needs them, the first steps, and what goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.urls import reverse

from hub.accounts.models import User
from hub.common.templatetags.foedus import ago
from hub.federations.models import Participation, ParticipationState
from hub.home import selectors
from hub.organisations.models import Membership, OrganisationState
from hub.organisations.permissions import Permission
from hub.organisations.selectors import (
    Sighting,
    agents_of,
    memberships_of,
    pending_registrations,
    sightings,
)
from hub.runs.models import Run


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
    def needs(self) -> Sequence[Need]:
        return [
            *self._registrations(),
            *self._stopped(),
            *self._requests(),
            *self._held(),
            *self._silent(),
            *self._unmanned(),
        ]

    @property
    def lead(self) -> str:
        """The page's first sentence."""
        if self.needs:
            return _counted(len(self.needs), "thing needs you.", "things need you.")
        if self.steps:
            return f"Welcome, {self.user}. These steps lead to a first run."
        return "Nothing needs you at the moment."

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

    def _registrations(self) -> Iterator[Need]:
        count = pending_registrations() if self.user.is_staff else 0
        if count:
            waits = _counted(count, "organisation waits", "organisations wait")
            console = reverse("admin:organisations_organisation_changelist")
            yield Need(
                title=f"{waits} for approval",
                text="You are an operator of this hub. Look at who they are and decide.",
                url=f"{console}?state__exact={OrganisationState.PENDING}",
                action="Open the console",
            )

    def _stopped(self) -> Iterator[Need]:
        for organisation in (place.organisation for place in self.memberships):
            if organisation.state in {OrganisationState.SUSPENDED, OrganisationState.REFUSED}:
                yield Need(
                    title=f"{organisation} is {organisation.get_state_display()}",
                    text="It takes no part until an operator of this hub decides otherwise.",
                    url=reverse("organisations:detail", args=[organisation.slug]),
                    action="See why",
                )

    def _requests(self) -> Iterator[Need]:
        able = {p.organisation_id for p in self.memberships if p.may(Permission.ADMIT_MEMBERS)}
        for place in self.joined:
            count: int = place.waiting  # type: ignore[attr-defined]
            if count and place.is_lead and place.organisation_id in able:
                asks = _counted(count, "organisation asks", "organisations ask")
                yield Need(
                    title=f"{asks} to join {place.federation}",
                    text=f"{place.organisation} leads it. Read who signed, and decide.",
                    url=reverse("federations:detail", args=[place.federation.slug]) + "#requests",
                    action="Decide",
                )

    def _held(self) -> Iterator[Need]:
        for held in selectors.held_updates(self.user):
            yield Need(
                title=f"{_counted(held.count, 'update is', 'updates are')} held for review",
                text=f"Round {held.number} of {held.run}, {held.federation}. Look at the evidence, "
                "then accept or reject.",
                url=reverse("runs:round", args=[held.round_id]),
                action="Review",
            )

    def _silent(self) -> Iterator[Need]:
        for agent in (one.agent for one in self.agents if one.state == "offline"):
            yield Need(
                title=f"The agent {agent.name} is silent",
                text=f"{agent.organisation} heard of it {ago(agent.last_seen_at)}. Its work waits.",
                url=reverse("organisations:agent", args=[agent.pk]),
                action="Look at it",
            )

    def _unmanned(self) -> Iterator[Need]:
        """Organisations without an agent beside one that has some; else it is a first step."""
        manned = {one.agent.organisation_id for one in self.agents}
        organisations = {place.organisation_id: place.organisation for place in self.joined}
        for pk, organisation in organisations.items():
            if manned and pk not in manned:
                yield Need(
                    title=f"{organisation} has no agent",
                    text="It takes part in a federation, but nobody does its work.",
                    url=reverse("organisations:enrol") + f"?for={organisation.slug}",
                    action="Enrol an agent",
                )


def _is_approved(place: Membership) -> bool:
    return place.organisation.state == OrganisationState.APPROVED


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"
