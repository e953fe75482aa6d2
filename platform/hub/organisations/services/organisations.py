"""Organisations, the people who act for them, and what operators decide about them."""

from __future__ import annotations

from uuid import UUID

from django.db import IntegrityError, transaction

from hub.accounts.models import User
from hub.common import switches, text
from hub.common.actors import HUB, Actor
from hub.common.errors import Invalid, NotFound
from hub.common.services import slugs_for, violated
from hub.common.wakeups import wake
from hub.organisations.errors import GrantsMore, LastOwner, NameTaken, PersonUnknown
from hub.organisations.models import Membership, Organisation, OrganisationState
from hub.organisations.permissions import GIVEN_ROLES, ROLES, Permission, Role
from hub.organisations.selectors import require_permission

GIB = 2**30


@transaction.atomic
def register_organisation(
    *, user: User, name: str, description: str = "", contact_email: str = ""
) -> Organisation:
    """Register an organisation with the person as its owner; an operator approves it.

    Raises:
        NameTaken: also by one that was refused; names stay unique for ever.
    """
    organisation = _create(
        name=text.line(name, least=1, most=120),
        description=text.line(description, most=500),
        contact_email=contact_email or user.email,
    )
    Membership.objects.create(user=user, organisation=organisation, role=Role.OWNER)
    data = {"organisation": organisation.name}
    organisation.record("registered", actor=user.actor, data=data)
    if switches.approves_organisations():
        organisation.move_to(OrganisationState.APPROVED, actor=HUB, data=data)
    return organisation


def _create(*, name: str, description: str, contact_email: str) -> Organisation:
    for slug in slugs_for(name, fallback="organisation"):
        try:
            with transaction.atomic():
                return Organisation.objects.create(
                    slug=slug, name=name, description=description, contact_email=contact_email
                )
        except IntegrityError as error:
            if "slug" not in violated(error):
                raise NameTaken(f"{name} is registered already.") from error
    raise NameTaken(f"Too many organisations have a name like {name}.")


def approve_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Let a registered organisation take part. Doing it twice changes nothing."""
    return _decide(organisation_id, OrganisationState.APPROVED, actor, reason)


def reinstate_organisation(
    *, organisation_id: UUID, actor: Actor, reason: str = ""
) -> Organisation:
    """Let a suspended organisation take part again."""
    return _decide(organisation_id, OrganisationState.APPROVED, actor, reason)


def refuse_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Refuse a registration, for good."""
    return _decide(organisation_id, OrganisationState.REFUSED, actor, reason)


def suspend_organisation(*, organisation_id: UUID, actor: Actor, reason: str = "") -> Organisation:
    """Stop an organisation: its agents are refused from their next request on."""
    return _decide(organisation_id, OrganisationState.SUSPENDED, actor, reason)


@transaction.atomic
def set_quota(
    *, organisation_id: UUID, quota_bytes: int | None, actor: Actor, reason: str = ""
) -> Organisation:
    """Let an organisation store so many bytes; 0: without limit, None: as many as any other.

    Doing it twice changes nothing.
    """
    organisation = _locked(organisation_id)
    if organisation.quota_bytes != quota_bytes:
        organisation.quota_bytes = quota_bytes
        organisation.save(update_fields=["quota_bytes"])
        data = {"organisation": organisation.name, "may": _may_store(quota_bytes)}
        organisation.record("quota_set", actor=actor, reason=text.line(reason, most=500), data=data)
    return organisation


def _may_store(quota_bytes: int | None) -> str:
    match quota_bytes:
        case None:
            return "as much as any other"
        case 0:
            return "without limit"
    return f"{quota_bytes / GIB:.6g} GiB"


@transaction.atomic
def _decide(
    organisation_id: UUID, state: OrganisationState, actor: Actor, reason: str
) -> Organisation:
    organisation = _locked(organisation_id)
    if organisation.state != state:
        organisation.move_to(
            state,
            actor=actor,
            reason=text.line(reason, most=500),
            data={"organisation": organisation.name},
        )
        wake(f"organisation:{organisation.pk}")
    return organisation


@transaction.atomic
def add_member(*, organisation_id: UUID, email: str, role: str, user: User) -> Membership:
    """Give the person with this address a place, or another role in the one they have.

    Raises:
        PersonUnknown: they have not signed up.
        Forbidden, GrantsMore: it is not the person's to give.
        LastOwner: they are the only owner, who must stay one.
    """
    giver = require_permission(user, organisation_id, Permission.MANAGE_PEOPLE)
    if role not in dict(GIVEN_ROLES):
        raise Invalid(f"{role} is no role.")
    _require_as_much(giver, ROLES[role])
    organisation = _locked(organisation_id)
    person = User.objects.filter(email=email.strip().lower(), is_active=True).first()
    if person is None:
        raise PersonUnknown("Ask them to sign up first.")
    place = organisation.memberships.filter(user=person).first()
    if place is not None and place.role == role:
        return place
    if place is not None:
        _require_as_much(giver, place.permissions)
        _require_another_owner(organisation, place)
    membership, _ = Membership.objects.update_or_create(
        user=person, organisation=organisation, defaults={"role": role, "custom_role": None}
    )
    organisation.record(
        "member_added",
        actor=user.actor,
        data={"organisation": organisation.name, "person": str(person), "role": role},
    )
    return membership


@transaction.atomic
def remove_member(*, organisation_id: UUID, user_id: UUID, user: User) -> None:
    """Take a person's place away; acts on their next request. Everybody may leave.

    Raises:
        NotFound: they have no place here, or no longer.
        Forbidden, GrantsMore: it is not the person's to take.
        LastOwner: they are the only owner.
    """
    organisation = _locked(organisation_id)
    held = organisation.memberships.select_related("user", "custom_role")
    if user_id != user.pk:
        remover = require_permission(user, organisation_id, Permission.MANAGE_PEOPLE)
    place = held.filter(user_id=user_id).first()
    if place is None:
        raise NotFound("no such member")
    if user_id != user.pk:
        _require_as_much(remover, place.permissions)
    _require_another_owner(organisation, place)
    place.delete()
    organisation.record(
        "member_removed",
        actor=user.actor,
        data={"organisation": organisation.name, "person": str(place.user)},
    )


def _require_as_much(giver: Membership, permissions: frozenset[str]) -> None:
    """Nobody gives, or takes, what they do not have themselves."""
    if lacked := permissions - giver.permissions:
        first = Permission(min(lacked)).label
        raise GrantsMore(f"The role {giver.role_name} may not {first}, and so not decide who may.")


def _require_another_owner(organisation: Organisation, place: Membership) -> None:
    others = organisation.memberships.filter(role=Role.OWNER).exclude(pk=place.pk)
    if place.is_owner and not others.exists():
        raise LastOwner("Make somebody else an owner first.")


def _locked(organisation_id: UUID) -> Organisation:
    organisation = Organisation.objects.select_for_update().filter(pk=organisation_id).first()
    if organisation is None:
        raise NotFound("no such organisation")
    return organisation
