"""What the lead puts in force by itself, where the members have left that to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.federations.charters.services import locked
from hub.federations.errors import MembersDecide
from hub.federations.models import Federation, ProposalState
from hub.federations.proposals.services import propose
from hub.federations.selectors import require_place
from hub.organisations.permissions import Permission


@transaction.atomic
def put_in_force(
    *, user: User, federation_id: UUID, kind: str, terms: Mapping[str, Any], reason: str
) -> Federation:
    """Change the charter or the policy at once; it is on record as a proposal like any other.

    Raises:
        NotFound, Forbidden: the person does not steer the federation.
        MembersDecide: the members vote on this.
        Invalid, UnfitText: it cannot be in force.
    """
    require_place(user, federation_id, Permission.STEER_FEDERATIONS)
    federation = locked(federation_id)
    if kind not in federation.typed_policy.led:
        raise MembersDecide(
            _("Propose it with kind %(kind)s at /api/v1/proposals, and vote on it.")
            % {"kind": kind}
        )
    made = propose(user=user, federation_id=federation_id, kind=kind, terms=terms, reason=reason)
    if made.state != ProposalState.ACCEPTED:
        raise MembersDecide(made.answer or _("It has to be voted on."))
    return locked(federation_id)
