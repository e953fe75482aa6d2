"""Roles of an organisation's own: made, changed, deleted; nobody puts in what they lack."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Invalid, NotFound
from hub.common.languages import spoken_to
from hub.organisations.errors import RoleHeld, RoleNameTaken, TooManyRoles
from hub.organisations.models import CustomRole, InvitationState, Organisation
from hub.organisations.permissions import Permission, Role
from hub.organisations.selectors import require_permission
from hub.organisations.services.organisations import locked_organisation
from hub.organisations.services.people import require_as_much

MOST_ROLES = 12  # of one organisation; the table of who may do what has a column for each


@transaction.atomic
def create_role(
    *, organisation_id: UUID, name: str, permissions: Iterable[str], user: User
) -> CustomRole:
    """Make a role of the organisation's own. The same again, by name and list, changes nothing.

    Raises:
        NotFound, Forbidden: it is not the person's to make.
        GrantsMore: it would carry what the person's own role lacks.
        RoleNameTaken, TooManyRoles, UnfitText, Invalid: it cannot be.
    """
    organisation = locked_organisation(organisation_id)
    maker = require_permission(user, organisation_id, Permission.MANAGE_ROLES)
    name, carried = _fit(name), _known(permissions)
    require_as_much(maker, frozenset(carried))
    held = list(organisation.custom_roles.all())
    same = next((role for role in held if role.name == name), None)
    if same is not None and same.permissions == carried:
        return same
    if same is None and len(held) >= MOST_ROLES:
        raise TooManyRoles(
            _("An organisation has at most %(MOST_ROLES)s roles of its own.")
            % {"MOST_ROLES": MOST_ROLES}
        )
    role = CustomRole(organisation=organisation, name=name, permissions=carried)
    _save(role)
    _record(organisation, "role_made", user, role)
    return role


@transaction.atomic
def change_role(*, role_id: UUID, name: str, permissions: Iterable[str], user: User) -> CustomRole:
    """Give a role another name or other permissions, for all who hold it, from now on.

    Raises:
        NotFound, Forbidden, GrantsMore, RoleNameTaken, UnfitText, Invalid: as for making it; what
            it carries already counts, too.
    """
    role, organisation = _locked(role_id)
    maker = require_permission(user, organisation.pk, Permission.MANAGE_ROLES)
    name, carried = _fit(name), _known(permissions)
    if (role.name, role.permissions) == (name, carried):
        return role
    require_as_much(maker, frozenset(carried) | frozenset(role.permissions))
    role.name, role.permissions = name, carried
    _save(role)
    _record(organisation, "role_changed", user, role)
    return role


@transaction.atomic
def delete_role(*, role_id: UUID, user: User) -> None:
    """Let a role go that nobody holds and that no open invitation offers.

    Raises:
        NotFound: no such role, or no longer.
        Forbidden, GrantsMore: it is not the person's to delete.
        RoleHeld: somebody has it, or has been offered it.
    """
    role, organisation = _locked(role_id)
    maker = require_permission(user, organisation.pk, Permission.MANAGE_ROLES)
    require_as_much(maker, frozenset(role.permissions))
    if role.memberships.exists():
        raise RoleHeld(_("Give those who hold it another one first."))
    if role.invitations.filter(state=InvitationState.OPEN).exists():
        raise RoleHeld(_("Somebody is invited to it: revoke the invitation first."))
    _record(organisation, "role_deleted", user, role)
    role.delete()


def _fit(name: str) -> str:
    fit = text.line(name, least=1, most=60)
    if fit.lower() in _given():
        raise RoleNameTaken(_("%(fit)s is a role that every organisation has.") % {"fit": fit})
    return fit


def _given() -> set[str]:
    """What the roles that every organisation has are called, in all languages."""
    found: set[str] = set()
    for language, _name in settings.LANGUAGES:
        with spoken_to(language):
            found |= {role.label.lower() for role in Role}
    return found


def _known(permissions: Iterable[str]) -> list[str]:
    """Each once, in the order of the table; raises Invalid."""
    asked = set(permissions)
    if unknown := asked - set(Permission.values):
        raise Invalid(_("There is no permission %(value)s.") % {"value": min(unknown)[:60]})
    return [value for value in Permission.values if value in asked]


def _save(role: CustomRole) -> None:
    try:
        with transaction.atomic():
            role.save()
    except IntegrityError as error:
        raise RoleNameTaken(
            _("%(name)s is another role of the organisation.") % {"name": role.name}
        ) from error


def _record(organisation: Organisation, what: str, user: User, role: CustomRole) -> None:
    data = {
        "organisation": organisation.name,
        "role": role.name,
        "permissions": ", ".join(role.permissions),
    }
    organisation.record(what, actor=user.actor, data=data)


def _locked(role_id: UUID) -> tuple[CustomRole, Organisation]:
    """The role, with its organisation locked: so hold it all who give roles."""
    held = CustomRole.objects.filter(pk=role_id)
    for owner in held.values_list("organisation_id", flat=True):
        organisation = locked_organisation(owner)
        if (role := held.first()) is not None:
            return role, organisation
    raise NotFound("no such role")
