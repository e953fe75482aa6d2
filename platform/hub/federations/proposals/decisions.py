"""What members decide about who takes part, and about the federation itself."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any
from uuid import UUID

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.utils.translation import gettext_noop as _noop

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
        raise Invalid(_("Name the participation by its identifier.")) from wrong
    found = federation.participations.select_related("organisation").filter(pk=wanted).first()
    if found is None:
        raise Invalid(_("It has no place in this federation."))
    return found


def _terms(place: Participation) -> dict[str, Any]:
    return {"participation": str(place.pk), "organisation": place.organisation.name}


def _in_state(*states: ParticipationState) -> Any:
    """A check of terms that name a place in one of these states, and not the lead's."""

    def checked(federation: Federation, terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
        place = _place(federation, terms)
        if place.state not in states:
            raise NotTakingPart(
                _("The place of %(organisation)s is %(state)s.")
                % {"organisation": place.organisation, "state": place.get_state_display()}
            )
        if place.is_lead:
            raise LeadStays(_("Propose that another organisation take the lead first."))
        return _terms(place)

    return checked


def _words(said: str) -> Callable[[Proposal], str]:
    def words(proposal: Proposal) -> str:
        return _(said) % {"organisation": proposal.terms["organisation"]}

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
        raise Invalid(_("%(organisation)s leads already.") % {"organisation": place.organisation})
    return _terms(place)


def _hand_over(proposal: Proposal, actor: Actor) -> None:
    acts.hand_over(participation_id=about_place(proposal), actor=actor)


def _nothing_more(_federation: Federation, _terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
    return {}


def _dissolve(proposal: Proposal, actor: Actor) -> None:
    acts.dissolve(federation=proposal.federation, actor=actor, reason=proposal.reason)


ADMIT = register(
    Kind(
        name="admit",
        label=_lazy("Let an organisation in"),
        hint=_lazy("One that has signed the charter and asks to join."),
        checked=_in_state(ParticipationState.REQUESTED),
        words=_words(_noop("let %(organisation)s in")),
        apply=_admit,
        not_applied=_not_admitted,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.REQUESTED),
    )
)
register(
    Kind(
        name="suspend",
        label=_lazy("Suspend an organisation"),
        hint=_lazy("It gets no tasks and has no voice until it takes part again."),
        checked=_in_state(ParticipationState.ACTIVE),
        words=_words(_noop("suspend %(organisation)s")),
        apply=_suspend,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.ACTIVE),
    )
)
register(
    Kind(
        name="restore",
        label=_lazy("End a suspension"),
        hint=_lazy("It gets tasks and has a voice again."),
        checked=_in_state(ParticipationState.SUSPENDED),
        words=_words(_noop("let %(organisation)s take part again")),
        apply=_restore,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.SUSPENDED),
    )
)
register(
    Kind(
        name="expel",
        label=_lazy("Expel an organisation"),
        hint=_lazy("Its place and its access end for good."),
        checked=_in_state(ParticipationState.ACTIVE, ParticipationState.SUSPENDED),
        words=_words(_noop("expel %(organisation)s")),
        apply=_expel,
        silent=_silent,
        template=TEMPLATE,
        form=PlaceForm.of(ParticipationState.ACTIVE, ParticipationState.SUSPENDED),
    )
)
register(
    Kind(
        name="lead",
        label=_lazy("Take the lead"),
        hint=_lazy("Your organisation leads in place of the one that does now."),
        checked=_lead_checked,
        words=_words(_noop("make %(organisation)s the lead organisation")),
        apply=_hand_over,
        template=TEMPLATE,
        form=OwnPlaceForm,
    )
)
register(
    Kind(
        name="dissolve",
        label=_lazy("Dissolve the federation"),
        hint=_lazy("Nothing new begins any more; what was made stays."),
        checked=_nothing_more,
        words=lambda _proposal: _("dissolve the federation"),
        apply=_dissolve,
        template=TEMPLATE,
        form=PlainForm,
    )
)
