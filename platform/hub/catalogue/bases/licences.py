"""Accepting the licence of a base model, for an organisation."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.models import BaseModel, LicenceAcceptance
from hub.catalogue.selectors import base_models
from hub.common.errors import Invalid, NotFound
from hub.common.wakeups import wake
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission


@transaction.atomic
def accept_licence(
    *, user: User, organisation_id: UUID, base_model_id: UUID, licence_digest: str
) -> LicenceAcceptance:
    """An owner accepts a licence for their organisation; accepted twice is accepted once.

    `licence_digest`: SHA-256 of the text that was read.

    Raises:
        NotFound, Forbidden: the person is not an owner of the organisation.
        Invalid: the digest is of another text.
    """
    organisation = require_permission(user, organisation_id, Permission.SIGN_CHARTERS).organisation
    base = base_models().filter(pk=base_model_id).first()
    if base is None:
        raise NotFound("there is no such base model")
    if licence_digest != base.licence_digest:
        raise Invalid(_("this is not the digest of the licence's text; read it again"))
    return record_acceptance(user=user, organisation=organisation, base=base)


@transaction.atomic
def record_acceptance(
    *, user: User, organisation: Organisation, base: BaseModel
) -> LicenceAcceptance:
    """Keep who accepted which text for whom, and when. The first word counts."""
    acceptance, is_new = LicenceAcceptance.objects.get_or_create(
        base_model=base,
        organisation=organisation,
        defaults={"accepted_by": user, "licence_digest": base.licence_digest},
    )
    if is_new:
        said = {"organisation": organisation.name, "base": base.name, "licence": base.licence}
        data = {**said, "licence_digest": base.licence_digest}
        organisation.record("licence_accepted", actor=user.actor, data=data)
        wake(f"organisation:{organisation.pk}")
    return acceptance
