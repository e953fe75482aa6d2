"""Invitations of organisations into a federation: the lead offers a place, by mail.

The rows are `hub.organisations`'; here is who may make them.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.db.models import QuerySet
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.federations.errors import FederationClosed
from hub.federations.models import FederationState
from hub.federations.selectors import require_place
from hub.organisations import services
from hub.organisations.models import Invitation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import invitations_into


@transaction.atomic
def invite(*, user: User, federation_id: UUID, email: str, standing: str) -> Invitation:
    """Offer a place to the organisation for which somebody with this address acts.

    The same again changes nothing. Who accepts for an organisation may join with it at once,
    by `request_to_join(..., invited=True)`.

    Raises:
        NotFound, Forbidden: neither role nor standing let the person.
        FederationClosed: nobody is taken in.
        AlreadyInvited, NotApproved, Invalid: as `services.invite_organisation` says.
    """
    place = require_place(user, federation_id, Permission.STEER_FEDERATIONS)
    if place.federation.state != FederationState.ACTIVE:
        raise FederationClosed(
            _("%(name)s is %(state)s.")
            % {"name": place.federation.name, "state": place.federation.state}
        )
    return services.invite_organisation(
        user=user,
        organisation_id=place.organisation_id,
        federation_id=federation_id,
        email=email,
        standing=standing,
    )


def invitations_of(user: User, federation_id: UUID) -> QuerySet[Invitation]:
    """Those of the federation, for whoever may invite.

    Raises:
        NotFound, Forbidden: as for inviting.
    """
    require_place(user, federation_id, Permission.STEER_FEDERATIONS)
    return invitations_into(federation_id)
