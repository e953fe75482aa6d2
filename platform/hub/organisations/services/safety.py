"""What an organisation demands of the people who act for it."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.factors import has_second_factor
from hub.accounts.models import User
from hub.common.errors import NotFound, SecondFactorRequired
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission


@transaction.atomic
def require_second_factor(*, organisation_id: UUID, required: bool, user: User) -> Organisation:
    """Demand a second factor of everybody who acts for the organisation, or no longer.

    It acts on their next request: who has none sees nothing but their account until they do, and
    their tokens open nothing. Doing it twice changes nothing.

    Raises:
        NotFound, Forbidden: it is not the person's to decide.
        SecondFactorRequired: whoever demands it has one first.
    """
    require_permission(user, organisation_id, Permission.EDIT_ORGANISATION)
    organisation = Organisation.objects.select_for_update().filter(pk=organisation_id).first()
    if organisation is None:
        raise NotFound("no such organisation")
    if required and not has_second_factor(user):
        raise SecondFactorRequired(_("Set up your own before you demand it of others."))
    if organisation.requires_second_factor != required:
        organisation.requires_second_factor = required
        organisation.save(update_fields=["requires_second_factor"])
        what = "necessary" if required else "a choice of its people"
        data = {"organisation": organisation.name, "what": what}
        organisation.record("second_factor_set", actor=user.actor, data=data)
    return organisation
