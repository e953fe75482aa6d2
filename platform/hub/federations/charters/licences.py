"""The base model's licence, accepted in the act of signing.

Licences belong to the catalogue, a higher app: it says here how an acceptance is recorded.
"""

from __future__ import annotations

from typing import Any, Protocol
from uuid import UUID

from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.federations.errors import LicenceUnaccepted
from hub.federations.models import Federation
from hub.organisations.models import Organisation


class Recording(Protocol):
    """Keeps who accepted which licence for whom, and when; twice is once."""

    def __call__(self, *, user: User, organisation: Organisation, base: Any) -> Any: ...


_recording: list[Recording] = []


def record_with(recording: Recording) -> None:
    """Called once, when the catalogue starts."""
    _recording[:] = [recording]


def settle_licence(
    *, user: User, organisation: Organisation, base: Any, licence_digest: str
) -> str:
    """The digest of the licence that the organisation has accepted, before or now; empty: of none.

    `base`: the base model. `licence_digest`: of the text that was read and is accepted with this.

    Raises:
        LicenceUnaccepted: it must be accepted, and this is not the digest of its text.
    """
    if not base.must_accept:
        return ""
    if earlier := base.acceptances.filter(organisation=organisation).first():
        return str(earlier.licence_digest)
    if licence_digest != base.licence_digest:
        raise LicenceUnaccepted(
            _("Read %(licence)s of %(name)s, and accept it with the signature.")
            % {"licence": base.licence, "name": base.name},
            licence_digest=base.licence_digest,
        )
    return str(_recording[0](user=user, organisation=organisation, base=base).licence_digest)


def has_accepted(federation: Federation, organisation: Organisation) -> bool:
    """Whether nothing is left for the organisation to accept."""
    return has_accepted_base(federation.base_model, organisation)


def has_accepted_base(base: Any, organisation: Organisation) -> bool:
    return not base.must_accept or base.acceptances.filter(organisation=organisation).exists()


def organisations_accepting(federation: Federation) -> frozenset[UUID] | None:
    """Those that have accepted the base model's licence; None: nobody has to."""
    base = federation.base_model
    if not base.must_accept:
        return None
    return frozenset(base.acceptances.values_list("organisation_id", flat=True))
