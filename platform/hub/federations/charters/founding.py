"""Founding a federation: its charter, its policy, and its first member."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common import text
from hub.common.errors import Invalid
from hub.common.services import slugs_for, violated
from hub.federations.charters.agreeing import agreed_columns
from hub.federations.charters.licences import settle_licence
from hub.federations.charters.parties import approved
from hub.federations.charters.services import LONGEST_CHARTER
from hub.federations.charters.writing import signature_of, write_signature, write_version
from hub.federations.entries import tell_admitted, tell_founded
from hub.federations.errors import BaseModelUnknown
from hub.federations.models import Federation, Participation, ParticipationState, Standing
from hub.federations.policies import FORMER, Policy
from hub.organisations.permissions import Permission

USUAL_UPDATE_BYTES = 2**30


@dataclass(frozen=True, slots=True)
class Foundation:
    """What a federation is founded with, fit to be stored."""

    name: str
    purpose: str
    charter: str
    base_model_id: UUID
    policy: Policy
    is_listed: bool
    largest_update_bytes: int


@transaction.atomic
def create_federation(
    *,
    user: User,
    organisation_id: UUID,
    name: str,
    purpose: str,
    charter: str,
    base_model_id: UUID,
    is_listed: bool = True,
    policy: Policy = FORMER,
    largest_update_bytes: int = USUAL_UPDATE_BYTES,
    licence_digest: str = "",
) -> Federation:
    """Found a federation; the organisation leads it and has signed the charter.

    `licence_digest`: of the base model's licence that was read, where one must be accepted.

    Raises:
        NotFound, Forbidden: the person is not an owner of the organisation.
        NotApproved, BaseModelUnknown, LicenceUnaccepted, Invalid, UnfitText: it cannot be.
    """
    organisation = approved(user, organisation_id, Permission.FOUND_FEDERATIONS)
    federation = _create(
        Foundation(
            name=text.line(name, least=1, most=120),
            purpose=text.paragraphs(purpose, most=1000),
            charter=text.paragraphs(charter, least=1, most=LONGEST_CHARTER),
            base_model_id=base_model_id,
            policy=policy,
            is_listed=is_listed,
            largest_update_bytes=largest_update_bytes,
        )
    )
    accepted = settle_licence(
        user=user,
        organisation=organisation,
        base=federation.base_model,
        licence_digest=licence_digest,
    )
    data = {"organisation": organisation.name, "federation": federation.name}
    federation.record("founded", actor=user.actor, data=data)
    lead = Participation.objects.create(
        federation=federation,
        organisation=organisation,
        standing=Standing.LEAD,
        state=ParticipationState.ACTIVE,
        **signature_of(user, federation),
    )
    tell_founded(federation, lead)
    write_version(federation, made_by=user.pk)
    write_signature(lead, accepted)
    tell_admitted(lead)
    return federation


def _create(founded: Foundation) -> Federation:
    columns = {
        "name": founded.name,
        "purpose": founded.purpose,
        "charter": founded.charter,
        "base_model_id": founded.base_model_id,
        **agreed_columns(
            policy=founded.policy,
            is_listed=founded.is_listed,
            largest_update_bytes=founded.largest_update_bytes,
        ),
    }
    for slug in slugs_for(founded.name, fallback="federation"):
        try:
            with transaction.atomic():
                federation = Federation.objects.create(slug=slug, **columns)
                connection.check_constraints()  # now, not at the commit
                return federation
        except IntegrityError as error:
            if "slug" not in violated(error):
                raise BaseModelUnknown(_("Choose one from /api/v1/base-models.")) from error
    raise Invalid(_("Too many federations have a name like %(name)s.") % {"name": founded.name})
