"""What members decide about who takes part, and about the federation itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from hub.accounts.models import User
from hub.common.actors import Actor
from hub.common.errors import Invalid
from hub.federations.errors import LeadStays, NotTakingPart
from hub.federations.models import (
    Federation,
    Participation,
    ParticipationState,
    Proposal,
    ProposalState,
)
from hub.federations.proposals import acts
from hub.federations.proposals.forms import OwnPlaceForm, PlaceForm, PlainForm
from hub.federations.proposals.kinds import Kind, register
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

TEMPLATE = "federations/proposals/place.html"


def about_place(proposal: Proposal) -> UUID:
    return UUID(proposal.terms["participation"])


def _silent(terms: Mapping[str, Any]) -> Collection[UUID]:
    """The organisation that it is about does not judge in its own matter."""
    return [UUID(terms["participation"])]


def _place(federation: Federation, terms: Mapping[str, Any]) -> Participation:
    try:
        wanted = UUID(str(terms.get("participation", "")))
    except ValueError as wrong:
        raise Invalid("Name the participation by its identifier.") from wrong
    found = federation.participations.select_related("organisation").filter(pk=wanted).first()
    if found is None:
        raise Invalid("It has no place in this federation.")
    return found


def _terms(place: Participation) -> dict[str, Any]:
    return {"participation": str(place.pk), "organisation": place.organisation.name}


def _in_state(*states: ParticipationState) -> Any:
    """A check of terms that name a place in one of these states, and not the lead's."""

    def checked(federation: Federation, terms: Mapping[str, Any], _: User) -> dict[str, Any]:
        place = _place(federation, terms)
        if place.state not in states:
            raise NotTakingPart(
                f"The place of {place.organisation} is {place.get_state_display()}."
            )
        if place.is_lead:
            raise LeadStays("Propose that another organisation take the lead first.")
        return _terms(place)

    return checked


def _words(before: str, after: str = "") -> Any:
    def words(proposal: Proposal) -> str:
        return f"{before} {proposal.terms['organisation']} {after}".strip()

    return words


def _admit(proposal: Proposal, actor: Actor) -> None:
    acts.admit(participation_id=about_place(proposal), actor=actor)


def _not_admitted(proposal: Proposal, actor: Actor) -> None:
    """Refused, lapsed: the request is answered; withdrawn: it still is one, or was taken back."""
    if proposal.state != ProposalState.WITHDRAWN:
        reason = proposal.answer or "the members voted against it"
        acts.refuse(participation_id=about_place(proposal), actor=actor, reason=reason)


def _suspend(proposal: Proposal, actor: Actor) -> None:
    place = about_place(proposal)
    acts.suspend(participation_id=place, actor=actor, reason=proposal.reason)


def _restore(proposal: Proposal, actor: Actor) -> None:
    place = about_place(proposal)
    acts.restore(participation_id=place, actor=actor, reason=proposal.reason)


def _expel(proposal: Proposal, actor: Actor) -> None:
    place = about_place(proposal)
    acts.expel(participation_id=place, actor=actor, reason=proposal.reason)


def _lead_checked(federation: Federation, terms: Mapping[str, Any], user: User) -> dict[str, Any]:
    """An organisation offers itself: nobody is made the lead by others."""
    place = _place(federation, terms)
    require_permission(user, place.organisation_id, Permission.VOTE)
    acts.require_can_lead(place)
    if place.is_lead:
        raise Invalid(f"{place.organisation} leads already.")
    return _terms(place)


def _hand_over(proposal: Proposal, actor: Actor) -> None:
    acts.hand_over(participation_id=about_place(proposal), actor=actor)


def _nothing_more(_: Federation, __: Mapping[str, Any], ___: User) -> dict[str, Any]:
    return {}


def _dissolve(proposal: Proposal, actor: Actor) -> None:
    acts.dissolve(federation=proposal.federation, actor=actor, reason=proposal.reason)


ADMIT = register(
    Kind(
        name="admit",
        label="Let an organisation in",
        hint="One that has signed the charter and asks to join.",
        checked=_in_state(ParticipationState.REQUESTED),
        words=_words("let", "in"),
        apply=_admit,
        not_applied=_not_admitted,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.REQUESTED),
    )
)
register(
    Kind(
        name="suspend",
        label="Suspend an organisation",
        hint="It gets no tasks and has no voice until it takes part again.",
        checked=_in_state(ParticipationState.ACTIVE),
        words=_words("suspend"),
        apply=_suspend,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.ACTIVE),
    )
)
register(
    Kind(
        name="restore",
        label="End a suspension",
        hint="It gets tasks and has a voice again.",
        checked=_in_state(ParticipationState.SUSPENDED),
        words=_words("let", "take part again"),
        apply=_restore,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.SUSPENDED),
    )
)
register(
    Kind(
        name="expel",
        label="Expel an organisation",
        hint="Its place and its access end for good.",
        checked=_in_state(ParticipationState.ACTIVE, ParticipationState.SUSPENDED),
        words=_words("expel"),
        apply=_expel,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.ACTIVE, ParticipationState.SUSPENDED),
    )
)
register(
    Kind(
        name="lead",
        label="Take the lead",
        hint="Your organisation leads in place of the one that does now.",
        checked=_lead_checked,
        words=_words("make", "the lead organisation"),
        apply=_hand_over,
        template=TEMPLATE,
        form=OwnPlaceForm,
    )
)
register(
    Kind(
        name="dissolve",
        label="Dissolve the federation",
        hint="Nothing new begins any more; what was made stays.",
        checked=_nothing_more,
        words=lambda _: "dissolve the federation",
        apply=_dissolve,
        template=TEMPLATE,
        form=PlainForm,
    )
)
