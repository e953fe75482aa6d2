"""The people who act for an organisation: which role each has, and who leaves."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.errors import Invalid, NotFound
from hub.common.languages import on_record
from hub.organisations.errors import GrantsMore, LastOwner
from hub.organisations.models import CustomRole, Membership, Organisation
from hub.organisations.permissions import GIVEN_ROLES, ROLES, Permission, Role
from hub.organisations.selectors import require_permission
from hub.organisations.services.organisations import locked_organisation


@dataclass(frozen=True, slots=True)
class Chosen:
    """A role that can be given in an organisation."""

    role: str
    custom_role: CustomRole | None
    name: str
    permissions: frozenset[str]


def chosen_role(organisation: Organisation, role: str, custom_role_id: UUID | None) -> Chosen:
    """The role by its name, or the organisation's own by its id; raises Invalid, NotFound.

    With the organisation locked, as all who change roles hold it.
    """
    if custom_role_id is not None and role in {"", Role.CUSTOM}:
        own = organisation.custom_roles.filter(pk=custom_role_id).first()
        if own is None:
            raise NotFound("no such role")
        return Chosen(Role.CUSTOM, own, own.name, frozenset(own.permissions))
    if role not in dict(GIVEN_ROLES) or custom_role_id is not None:
        raise Invalid(_("%(value)s is no role.") % {"value": role or _("That")})
    return Chosen(role, None, role, ROLES[role])


@transaction.atomic
def set_role(
    *,
    organisation_id: UUID,
    user_id: UUID,
    user: User,
    role: str = "",
    custom_role_id: UUID | None = None,
) -> Membership:
    """Give somebody who acts for the organisation another role. Twice changes nothing.

    Raises:
        NotFound: they have no place here, or there is no such role.
        Forbidden, GrantsMore: it is not the person's to give, or to take.
        LastOwner: they are the only owner, who must stay one.
    """
    organisation = locked_organisation(organisation_id)
    giver = require_permission(user, organisation_id, Permission.MANAGE_PEOPLE)
    chosen = chosen_role(organisation, role, custom_role_id)
    place = _place(organisation, user_id)
    if (place.role, place.custom_role) == (chosen.role, chosen.custom_role):
        return place
    require_as_much(giver, chosen.permissions)
    require_as_much(giver, place.permissions)
    _require_another_owner(organisation, place)
    with on_record():
        before = place.role_name.lower()
    place.role, place.custom_role = chosen.role, chosen.custom_role
    place.save(update_fields=["role", "custom_role"])
    organisation.record(
        "role_given",
        actor=user.actor,
        data={
            "organisation": organisation.name,
            "person": str(place.user),
            "role": chosen.name,
            "before": before,
        },
    )
    return place


@transaction.atomic
def remove_member(*, organisation_id: UUID, user_id: UUID, user: User) -> None:
    """Take a person's place away; acts on their next request. Everybody may leave.

    Raises:
        NotFound: they have no place here, or no longer.
        Forbidden, GrantsMore: it is not the person's to take.
        LastOwner: they are the only owner.
    """
    organisation = locked_organisation(organisation_id)
    if user_id == user.pk:
        place = _place(organisation, user_id)
    else:
        remover = require_permission(user, organisation_id, Permission.MANAGE_PEOPLE)
        place = _place(organisation, user_id)
        require_as_much(remover, place.permissions)
    _require_another_owner(organisation, place)
    place.delete()
    organisation.record(
        "member_removed",
        actor=user.actor,
        data={"organisation": organisation.name, "person": str(place.user)},
    )


def require_as_much(giver: Membership, permissions: frozenset[str]) -> None:
    """Nobody gives, or takes, what they do not have themselves; raises GrantsMore."""
    if lacked := permissions - giver.permissions:
        first = Permission(min(lacked)).label
        raise GrantsMore(
            _("The role %(role_name)s may not %(first)s, and so not decide who may.")
            % {"role_name": giver.role_name, "first": first}
        )


def _place(organisation: Organisation, user_id: UUID) -> Membership:
    held = organisation.memberships.select_related("user", "custom_role")
    place = held.filter(user_id=user_id).first()
    if place is None:
        raise NotFound("no such member")
    return place


def _require_another_owner(organisation: Organisation, place: Membership) -> None:
    """Somebody who can sign in stays an owner."""
    owners = organisation.memberships.filter(role=Role.OWNER, user__is_active=True)
    if place.is_owner and not owners.exclude(pk=place.pk).exists():
        raise LastOwner(_("Make somebody else an owner first."))
