"""What becomes of an invitation: whoever has the address, or its mail, accepts or declines."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from allauth.account.models import EmailAddress
from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.actors import HUB
from hub.common.errors import Invalid, NotFound
from hub.organisations.errors import InvitationClosed, InvitationForAnother, NotApproved
from hub.organisations.models import (
    Invitation,
    InvitationKind,
    InvitationState,
    Membership,
    OrganisationState,
)
from hub.organisations.permissions import Permission
from hub.organisations.seals import digest_of
from hub.organisations.selectors import addresses_of, require_permission
from hub.organisations.services.invitations import (
    about_invitation,
    locked_invitation,
    require_approved,
)
from hub.organisations.services.organisations import approve_organisation, locked_organisation


@transaction.atomic
def accept_invitation(
    *, user: User, invitation_id: UUID, secret: str = "", organisation_id: UUID | None = None
) -> Invitation:
    """Take the offered place: for oneself, or for an organisation of one's own.

    The link's secret proves the address, so an account that has it is confirmed by this. Accepted
    twice by the same person, the second time changes nothing; who is a member keeps their role.

    Raises:
        NotFound: no such invitation for the person.
        InvitationForAnother: they hold the link of another address.
        InvitationClosed: answered, revoked or too old.
        NotApproved: the organisation that invites, or the one that comes, may not.
    """
    _lock_joined(invitation_id)
    invitation = locked_invitation(invitation_id)
    _require_addressee(invitation, user, secret)
    if invitation.state == InvitationState.ACCEPTED and invitation.accepted_by_id == user.pk:
        return invitation
    _require_open(invitation)
    if invitation.organisation is not None:
        require_approved(invitation.organisation)
    if secret:
        _confirm_address(user)
    match InvitationKind(invitation.kind):
        case InvitationKind.PERSON:
            _join(invitation, user)
        case InvitationKind.FEDERATION | InvitationKind.HUB:
            _bring(invitation, user, organisation_id)
    return invitation


def _lock_joined(invitation_id: UUID) -> None:
    """The organisation first: so do all who change its people."""
    held = Invitation.objects.filter(pk=invitation_id, kind=InvitationKind.PERSON)
    for joined in held.values_list("organisation_id", flat=True):
        locked_organisation(joined)


def _join(invitation: Invitation, user: User) -> None:
    organisation = invitation.organisation
    assert organisation is not None
    Membership.objects.get_or_create(
        user=user,
        organisation=organisation,
        defaults={"role": invitation.role, "custom_role": invitation.custom_role},
    )
    _answer(invitation, InvitationState.ACCEPTED, user, accepted_by=user, accepted_for=organisation)


def _bring(invitation: Invitation, user: User, organisation_id: UUID | None) -> None:
    """For an organisation: the invitation is its own from now on."""
    if organisation_id is None:
        raise Invalid(_("Say for which of your organisations."))
    coming = require_permission(user, organisation_id, Permission.SIGN_CHARTERS).organisation
    if coming.state == OrganisationState.PENDING and invitation.kind == InvitationKind.HUB:
        by = invitation.invited_by
        approve_organisation(
            organisation_id=coming.pk, actor=by.actor if by else user.actor, reason="invited"
        )
    elif coming.state not in {OrganisationState.PENDING, OrganisationState.APPROVED}:
        raise NotApproved(
            _("%(name)s is %(state)s.") % {"name": coming.name, "state": coming.get_state_display()}
        )
    _answer(invitation, InvitationState.ACCEPTED, user, accepted_by=user, accepted_for=coming)


@transaction.atomic
def decline_invitation(
    *, invitation_id: UUID, user: User | None = None, secret: str = ""
) -> Invitation:
    """Say no; twice changes nothing. The link is enough, without any account.

    Raises:
        NotFound, InvitationClosed: as for accepting.
    """
    invitation = locked_invitation(invitation_id)
    if not _holds(invitation, secret):
        if user is None:
            raise NotFound("no such invitation")
        _require_addressee(invitation, user, secret)
    if invitation.state != InvitationState.DECLINED:
        _require_open(invitation)
        _answer(invitation, InvitationState.DECLINED, user)
    return invitation


def _answer(
    invitation: Invitation,
    state: InvitationState,
    user: User | None,
    **columns: Any,
) -> None:
    about = about_invitation(invitation)
    if joined := columns.get("accepted_for"):
        about["joined"] = joined.name
    actor = HUB if user is None else user.actor
    invitation.move_to(state, actor=actor, data=about, **columns)


def _require_addressee(invitation: Invitation, user: User, secret: str) -> None:
    if _holds(invitation, secret):
        if user.email != invitation.email and invitation.email not in addresses_of(user):
            raise InvitationForAnother(
                _("Sign in as %(email)s to answer it.") % {"email": invitation.email}
            )
    elif invitation.email not in addresses_of(user):
        raise NotFound("no such invitation")


def _holds(invitation: Invitation, secret: str) -> bool:
    return bool(secret) and digest_of(secret) == invitation.digest


def _require_open(invitation: Invitation) -> None:
    if not invitation.is_open:
        state = "expired" if invitation.state == InvitationState.OPEN else invitation.state
        raise InvitationClosed(_("It is %(state)s.") % {"state": state})


def _confirm_address(user: User) -> None:
    """Whoever has the mail has the address."""
    EmailAddress.objects.update_or_create(
        user=user,
        email=user.email,
        defaults={"verified": True},
        create_defaults={
            "verified": True,
            "primary": True,
        },
    )
