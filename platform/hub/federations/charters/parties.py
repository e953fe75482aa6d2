"""The organisations that sign."""

from __future__ import annotations

from uuid import UUID

from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.organisations.errors import NotApproved
from hub.organisations.models import Organisation, OrganisationState
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission


def approved(user: User, organisation_id: UUID, permission: Permission) -> Organisation:
    """The organisation for which the person acts.

    Raises:
        NotFound, Forbidden: it is not theirs, or their role may not.
        NotApproved: no operator has approved it, or it is suspended.
    """
    organisation = require_permission(user, organisation_id, permission).organisation
    require_approved(organisation)
    return organisation


def require_approved(organisation: Organisation) -> None:
    if organisation.state != OrganisationState.APPROVED:
        raise NotApproved(
            _("%(name)s is %(state)s.")
            % {"name": organisation.name, "state": organisation.get_state_display()}
        )
