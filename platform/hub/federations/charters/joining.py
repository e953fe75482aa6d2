"""Joining a federation: by request, by invitation, or because its rule is open."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.actors import Actor
from hub.common.errors import Invalid, NotFound
from hub.common.wakeups import wake
from hub.federations.charters.licences import has_accepted, settle_licence
from hub.federations.charters.parties import approved, require_approved
from hub.federations.charters.services import require_present
from hub.federations.charters.writing import signature_of, write_signature
from hub.federations.entries import tell_admitted
from hub.federations.errors import (
    CharterChanged,
    FederationClosed,
    InvitationNeeded,
    LicenceUnaccepted,
)
from hub.federations.models import (
    Federation,
    FederationState,
    Participation,
    ParticipationState,
    Standing,
)
from hub.federations.proposals.services import make
from hub.federations.selectors import federations_visible_to
from hub.organisations.permissions import Permission
from hub.organisations.selectors import invitations_for

LARGEST_RANK = 256
HELD = (ParticipationState.REQUESTED, ParticipationState.ACTIVE, ParticipationState.SUSPENDED)
JOINING = (Standing.CONTRIBUTOR, Standing.OBSERVER)


@transaction.atomic
def request_to_join(
    *,
    user: User,
    organisation_id: UUID,
    federation_id: UUID,
    charter_digest: str,
    rank: int | None = None,
    standing: str = Standing.CONTRIBUTOR,
    licence_digest: str = "",
    invited: bool = False,
) -> Participation:
    """Sign the charter for the organisation and ask to be let in.

    Who is invited, and anybody where the policy's rule is «open», takes part at once. Asking twice
    changes nothing; who was refused or has left may ask again. `invited`: the caller has checked
    that the federation wants the organisation, beside the invitations on record.

    Raises:
        NotFound: the organisation is not the person's, or the federation not theirs to see.
        Forbidden: the person is not an owner; only owners sign.
        CharterChanged: the digest is not the present text's.
        LicenceUnaccepted: the base model's licence must be accepted with the signature.
        InvitationNeeded: the federation takes in whom it has invited only.
        FederationClosed, NotApproved, IllegalTransition: nobody, or this one, is not taken in.
    """
    organisation = approved(user, organisation_id, Permission.SIGN_CHARTERS)
    invitation = invitations_for(organisation).filter(federation_id=federation_id).first()
    is_invited = invited or invitation is not None
    federation = _open_federation(user, federation_id, invited=is_invited)
    require_present(federation, charter_digest)
    there = federation.participations.filter(organisation=organisation).first()
    if there is not None and there.state in HELD:
        return _let_in(user, there) if is_invited else there
    rule = federation.typed_policy.join
    if rule == "invitation" and not is_invited:
        raise InvitationNeeded(
            _("%(name)s takes in whom it has invited.") % {"name": federation.name}
        )
    accepted = settle_licence(
        user=user,
        organisation=organisation,
        base=federation.base_model,
        licence_digest=licence_digest,
    )
    columns = {
        "rank": fitting(rank),
        "standing": invitation.standing if invitation else _joined_as(standing),
        **signature_of(user, federation),
    }
    asking = there or Participation(federation=federation, organisation=organisation)
    place = _ask(user, asking, columns)
    write_signature(place, accepted)
    wake(f"federation:{federation.pk}")
    if is_invited or rule == "open":
        return _let_in(user, place)
    if "admit" not in federation.typed_policy.led:
        _ask_members(user, place)
    return place


def _open_federation(user: User, federation_id: UUID, *, invited: bool) -> Federation:
    """The federation, locked, so that nobody else asks for the same organisation meanwhile."""
    known = Federation.objects.all() if invited else federations_visible_to(user)
    federation = known.select_for_update(of=("self",)).filter(pk=federation_id).first()
    if federation is None:
        raise NotFound("no such federation")
    if federation.state != FederationState.ACTIVE:
        raise FederationClosed(
            _("%(name)s is %(state)s.")
            % {"name": federation.name, "state": federation.get_state_display()}
        )
    return federation


def _ask(user: User, place: Participation, columns: dict[str, Any]) -> Participation:
    data = {"organisation": place.organisation.name, "federation": place.federation.name}
    if place._state.adding:  # noqa: SLF001  (Django's own word for a row that is not there yet)
        for name, value in columns.items():
            setattr(place, name, value)
        place.save(force_insert=True)
        place.record("requested", actor=user.actor, data=data)
    else:
        place.move_to(ParticipationState.REQUESTED, actor=user.actor, data=data, **columns)
    return place


def _ask_members(user: User, place: Participation) -> None:
    """Where the lead does not decide alone, the request is itself a proposal to the members."""
    terms = {"participation": str(place.pk)}
    make(place=place, user=user, kind="admit", terms=terms, reason="it has signed the charter")


def _let_in(user: User, place: Participation) -> Participation:
    if place.state == ParticipationState.REQUESTED:
        admit(place=place, actor=user.actor)
    return place


def admit(*, place: Participation, actor: Actor, reason: str = "") -> Participation:
    """Let an organisation in whose request is locked by the caller.

    Raises:
        CharterChanged: what it signed is no longer the charter.
        LicenceUnaccepted: it has still to accept the base model's licence.
        NotApproved: it is suspended.
        IllegalTransition: it does not ask to join.
    """
    name = place.organisation.name
    if place.charter_digest != place.federation.charter_digest:
        raise CharterChanged(_("%(name)s must sign the present text first.") % {"name": name})
    if not has_accepted(place.federation, place.organisation):
        raise LicenceUnaccepted(
            _("%(name)s must accept the licence of the base model first.") % {"name": name}
        )
    require_approved(place.organisation)
    data = {"organisation": name, "federation": place.federation.name}
    place.move_to(ParticipationState.ACTIVE, actor=actor, reason=reason, data=data)
    tell_admitted(place)
    wake(f"federation:{place.federation_id}", f"organisation:{place.organisation_id}")
    return place


def fitting(rank: int | None) -> int | None:
    """Raises Invalid: no adapter has such a rank."""
    if rank is not None and not 1 <= rank <= LARGEST_RANK:
        raise Invalid(
            _("A rank is between 1 and %(LARGEST_RANK)s.") % {"LARGEST_RANK": LARGEST_RANK}
        )
    return rank


def _joined_as(standing: str) -> str:
    if standing not in JOINING:
        raise Invalid(_("An organisation joins as contributor or as observer."))
    return standing
