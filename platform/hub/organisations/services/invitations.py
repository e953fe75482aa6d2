"""Invitations to people and to organisations: made, revoked, sent again, expired.

Nobody learns from them whether an address has an account: they are made for addresses, and only
whoever has the address or the secret of the mail can answer (see `answers`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Forbidden, Invalid, NotFound
from hub.common.languages import on_record
from hub.organisations.errors import (
    AlreadyInvited,
    AlreadyMember,
    InvitationClosed,
    NotApproved,
)
from hub.organisations.models import (
    Invitation,
    InvitationKind,
    InvitationState,
    LetterKind,
    Organisation,
    OrganisationState,
)
from hub.organisations.permissions import Permission
from hub.organisations.seals import digest_of, secret_of
from hub.organisations.selectors import require_permission
from hub.organisations.services.letters import post
from hub.organisations.services.organisations import locked_organisation
from hub.organisations.services.people import chosen_role, require_as_much

GOOD_FOR = timedelta(days=7)
STANDINGS_OFFERED = ("contributor", "observer")
BATCH = 500
# What somebody needs to make one, end one, or send it again; to the hub, operators invite.
NEEDED = {
    InvitationKind.PERSON: Permission.MANAGE_PEOPLE,
    InvitationKind.FEDERATION: Permission.STEER_FEDERATIONS,
}


@transaction.atomic
def invite_person(
    *, user: User, organisation_id: UUID, email: str, role: str, custom_role_id: UUID | None = None
) -> Invitation:
    """Offer whoever has the address a role in the organisation. The same again changes nothing.

    Raises:
        NotFound, Forbidden, GrantsMore, NotApproved: it is not the person's to offer.
        AlreadyMember: who signs in with this address acts for it already.
        AlreadyInvited: another role has been offered, and not been answered.
    """
    organisation = locked_organisation(organisation_id)
    giver = require_permission(user, organisation_id, Permission.MANAGE_PEOPLE)
    chosen = chosen_role(organisation, role, custom_role_id)
    require_as_much(giver, chosen.permissions)
    require_approved(organisation)
    email = _address(email)
    if organisation.memberships.filter(user__email=email).exists():
        raise AlreadyMember(
            _("%(email)s is among its people; change the role there.") % {"email": email}
        )
    return _offer(
        Invitation(
            kind=InvitationKind.PERSON,
            organisation=organisation,
            email=email,
            role=chosen.role,
            custom_role=chosen.custom_role,
            invited_by=user,
        ),
        about={"organisation": organisation.name, "address": email, "role": chosen.name},
    )


@transaction.atomic
def invite_to_hub(*, user: User, email: str) -> Invitation:
    """Offer whoever has the address to register an organisation, which is approved with that.

    Raises:
        Forbidden: only operators do.
    """
    if not user.is_staff:
        raise Forbidden(_("Operators invite organisations to the hub."))
    email = _address(email)
    made = Invitation(kind=InvitationKind.HUB, email=email, invited_by=user)
    return _offer(made, about={"address": email})


@transaction.atomic
def invite_organisation(
    *, user: User, organisation_id: UUID, federation_id: UUID, email: str, standing: str
) -> Invitation:
    """Offer the organisation for which somebody with this address acts a place in a federation.

    That the inviting organisation leads it is for `hub.federations` to see to.

    Raises:
        NotFound, Forbidden, NotApproved: the person may not do so for the organisation.
        AlreadyInvited: another standing has been offered, and not been answered.
    """
    organisation = locked_organisation(organisation_id)
    require_permission(user, organisation_id, Permission.STEER_FEDERATIONS)
    require_approved(organisation)
    if standing not in STANDINGS_OFFERED:
        raise Invalid(_("%(standing)s is no standing that is offered.") % {"standing": standing})
    email = _address(email)
    made = Invitation(
        kind=InvitationKind.FEDERATION,
        organisation=organisation,
        federation_id=federation_id,
        email=email,
        standing=standing,
        invited_by=user,
    )
    # The federation's members read this: not whom, only where.
    return _offer(made, about=about_invitation(made))


@transaction.atomic
def revoke_invitation(*, invitation_id: UUID, user: User, reason: str = "") -> Invitation:
    """Take an offer back: its link is dead. Twice changes nothing.

    Raises:
        NotFound, Forbidden: it is not the person's to take back.
        InvitationClosed: it was answered.
    """
    invitation = locked_invitation(invitation_id)
    _require_inviting(user, invitation)
    if invitation.state == InvitationState.REVOKED:
        return invitation
    if invitation.state != InvitationState.OPEN:
        raise InvitationClosed(_("It is %(state)s.") % {"state": invitation.state})
    invitation.move_to(
        InvitationState.REVOKED,
        actor=user.actor,
        reason=text.line(reason, most=500),
        data=about_invitation(invitation),
    )
    return invitation


@transaction.atomic
def resend_invitation(*, invitation_id: UUID, user: User) -> Invitation:
    """Send a new link, good for a week; the one before is dead.

    Raises:
        NotFound, Forbidden: it is not the person's to send.
        InvitationClosed: it was answered or revoked: make another.
        AlreadyInvited, NotApproved: as for a new one.
    """
    invitation = locked_invitation(invitation_id)
    _require_inviting(user, invitation)
    if invitation.organisation is not None:
        require_approved(invitation.organisation)
    if invitation.is_final:
        raise InvitationClosed(_("It is %(state)s.") % {"state": invitation.state})
    if invitation.state == InvitationState.EXPIRED:
        if _open_twin(invitation) is not None:
            raise AlreadyInvited(_("There is a newer one for this address."))
        invitation.move_to(
            InvitationState.OPEN, actor=user.actor, data=about_invitation(invitation)
        )
    else:
        invitation.record("sent_again", actor=user.actor, data=about_invitation(invitation))
    _renew(invitation, letters=invitation.letters + 1)
    invitation.save(update_fields=["letters", "digest", "expires_at"])
    _send(invitation)
    return invitation


def expire_invitations() -> None:
    """End what nobody has answered in time; bounded, and safe to run twice at once."""
    overdue = Invitation.objects.filter(state=InvitationState.OPEN, expires_at__lt=timezone.now())
    with transaction.atomic():
        for invitation in overdue.select_for_update(skip_locked=True)[:BATCH]:
            invitation.move_to(InvitationState.EXPIRED, data=about_invitation(invitation))


def _offer(made: Invitation, *, about: dict[str, str]) -> Invitation:
    open_one = _open_twin(made)
    if open_one is not None and open_one.expires_at < timezone.now():
        open_one.move_to(InvitationState.EXPIRED, data=about_invitation(open_one))
    elif open_one is not None:
        return _same(open_one, made)
    _renew(made, letters=1)
    try:
        with transaction.atomic():
            made.save()
    except IntegrityError as error:  # somebody was faster; to the hub, nothing is locked
        if (open_one := _open_twin(made)) is None:
            raise AlreadyInvited(_("Try again.")) from error
        return _same(open_one, made)
    _send(made)
    assert made.invited_by is not None
    made.record("open", actor=made.invited_by.actor, data=about)
    return made


def _same(open_one: Invitation, made: Invitation) -> Invitation:
    """The open one, which offers the same; raises AlreadyInvited."""
    if _terms(open_one) != _terms(made):
        raise AlreadyInvited(_("Revoke the open one, and then offer another."))
    return open_one


def _renew(invitation: Invitation, *, letters: int) -> None:
    """Give the invitation its next link; the caller saves it, and sends it."""
    invitation.letters = letters
    invitation.digest = digest_of(secret_of(invitation.pk, letters))
    invitation.expires_at = timezone.now() + GOOD_FOR


def _send(invitation: Invitation) -> None:
    number = invitation.letters
    post(LetterKind.INVITATION, email=invitation.email, about=invitation.pk, number=number)


def _open_twin(one: Invitation) -> Invitation | None:
    """The open invitation of the same kind and place for the address."""
    place: dict[str, Any] = {
        "kind": one.kind,
        "organisation_id": one.organisation_id,
        "federation_id": one.federation_id,
        "email": one.email,
    }
    same = Invitation.objects.select_for_update().filter(**place, state=InvitationState.OPEN)
    return same.exclude(pk=one.pk).first()


def _terms(one: Invitation) -> tuple[str, UUID | None, str]:
    return one.role, one.custom_role_id, one.standing


@on_record()
def about_invitation(invitation: Invitation) -> dict[str, str]:
    """What its events tell; the address only to those who gave it."""
    found = {"organisation": invitation.organisation.name} if invitation.organisation else {}
    if invitation.kind == InvitationKind.FEDERATION:
        where = {"federation": invitation.federation.name} if invitation.federation else {}
        return found | where | {"domain": invitation.email.partition("@")[2]}
    role = {"role": invitation.role_name} if invitation.role else {}
    return found | role | {"address": invitation.email}


def _require_inviting(user: User, invitation: Invitation) -> None:
    needed = NEEDED.get(InvitationKind(invitation.kind))
    if needed is not None and invitation.organisation_id is not None:
        require_permission(user, invitation.organisation_id, needed)
    elif not user.is_staff:
        raise NotFound("no such invitation")


def require_approved(organisation: Organisation) -> None:
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(
            _("%(name)s is %(state)s.")
            % {"name": organisation.name, "state": organisation.get_state_display()}
        )


def _address(email: str) -> str:
    return text.line(email, least=3, most=254).lower()


def locked_invitation(invitation_id: UUID) -> Invitation:
    held = Invitation.objects.select_related("organisation", "invited_by", "custom_role")
    found = held.select_for_update(of=("self",)).filter(pk=invitation_id).first()
    if found is None:
        raise NotFound("no such invitation")
    return found
