"""Acts on charters and policies: a new text, a signature under it, other rules."""

from __future__ import annotations

from uuid import UUID

from django.db import transaction
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.common.actors import Actor
from hub.common.errors import NotFound
from hub.common.text import paragraphs
from hub.common.wakeups import wake
from hub.dispatch import Job, enqueue
from hub.federations.charters.agreeing import agreed_columns
from hub.federations.charters.licences import settle_licence
from hub.federations.charters.selectors import ENDED
from hub.federations.charters.writing import signature_of, write_signature, write_version
from hub.federations.entries import tell_policy
from hub.federations.errors import CharterChanged, FederationClosed, NotTakingPart
from hub.federations.models import (
    CharterVersion,
    Federation,
    FederationState,
    Participation,
    ParticipationState,
)
from hub.federations.policies import Policy
from hub.organisations.permissions import Permission
from hub.organisations.selectors import require_permission

LONGEST_CHARTER = 50_000  # characters


@transaction.atomic
def sign_charter(
    *, user: User, participation_id: UUID, charter_digest: str, licence_digest: str = ""
) -> Participation:
    """Sign the charter's present text for an organisation; signed twice is signed once.

    Runs that waited for it go on. The base model's licence, where one must be accepted and was
    not yet, is accepted in the same act.

    Raises:
        NotFound, Forbidden: it is not theirs to sign.
        NotTakingPart: the place has ended.
        CharterChanged: the digest is not the present text's.
        LicenceUnaccepted: the digest is not the licence's.
    """
    place = Participation.objects.filter(pk=participation_id).first()
    if place is None:
        raise NotFound("no such participation")
    require_permission(user, place.organisation_id, Permission.SIGN_CHARTERS)
    federation = locked(place.federation_id)  # so that no text is published meanwhile
    place = Participation.objects.select_for_update().get(pk=place.pk)
    place.federation = federation
    if place.state in ENDED:
        raise NotTakingPart(_("Its place is %(state)s.") % {"state": place.get_state_display()})
    require_present(federation, charter_digest)
    accepted = settle_licence(
        user=user,
        organisation=place.organisation,
        base=federation.base_model,
        licence_digest=licence_digest,
    )
    if place.charter_number != federation.charter_number:
        _sign(user, place, accepted)
    return place


def _sign(user: User, place: Participation, licence_digest: str) -> None:
    columns = signature_of(user, place.federation)
    for name, value in columns.items():
        setattr(place, name, value)
    place.save(update_fields=[*columns])
    write_signature(place, licence_digest)
    data = {"organisation": place.organisation.name, "number": place.charter_number}
    place.record("charter_signed", actor=user.actor, data=data)
    if place.state == ParticipationState.ACTIVE:
        enqueue(Job.ADVANCE_FEDERATION, str(place.federation_id))
    wake(f"federation:{place.federation_id}", f"organisation:{place.organisation_id}")


@transaction.atomic
def publish_charter(
    *, federation: Federation, text: str, actor: Actor, proposal: UUID | None = None
) -> CharterVersion:
    """Put another text in force; from now on no round opens until the members have signed it.

    The text that is in force already stays, with its signatures.

    Raises:
        UnfitText: it cannot be stored or shown.
        FederationClosed: the federation is dissolved.
    """
    text = paragraphs(text, least=1, most=LONGEST_CHARTER)
    found = locked(federation.pk)
    _require_alive(found)
    if text == found.charter:
        return found.charter_versions.get(number=found.charter_number)
    found.charter, found.charter_number = text, found.charter_number + 1
    found.save(update_fields=["charter", "charter_number"])
    made_by = actor.id if actor.kind == "user" else None
    version = write_version(found, made_by=made_by, proposal=proposal)
    data = {"federation": found.name, "number": version.number, "digest": version.digest}
    found.record("charter_published", actor=actor, data=data)
    federation.charter, federation.charter_number = found.charter, found.charter_number
    wake(f"federation:{found.pk}")
    return version


@transaction.atomic
def change_policy(
    *,
    federation: Federation,
    policy: Policy,
    actor: Actor,
    is_listed: bool | None = None,
    largest_update_bytes: int | None = None,
    proposal: UUID | None = None,
) -> Federation:
    """Put another policy in force, for runs that start from now on. Twice is once.

    None leaves what else is agreed as it is.

    Raises:
        Invalid: no update could be that small, or that large.
        FederationClosed: the federation is dissolved.
    """
    found = locked(federation.pk)
    _require_alive(found)
    agreed = agreed_columns(
        policy=policy,
        is_listed=found.is_listed if is_listed is None else is_listed,
        largest_update_bytes=largest_update_bytes or found.largest_update_bytes,
    )
    if any(getattr(found, name) != value for name, value in agreed.items()):
        for name, value in agreed.items():
            setattr(found, name, value)
            setattr(federation, name, value)
        found.save(update_fields=[*agreed])
        tell_policy(found, proposal)
        found.record("policy_changed", actor=actor, data={"federation": found.name})
        wake(f"federation:{found.pk}")
    return found


def require_present(federation: Federation, charter_digest: str) -> None:
    """Raises CharterChanged: the digest is not the present text's, which it names."""
    if charter_digest != federation.charter_digest:
        raise CharterChanged(
            _("Read it again and sign that text."), charter_digest=federation.charter_digest
        )


def locked(federation_id: UUID) -> Federation:
    """The federation, locked until the transaction ends; rows may still be added to it."""
    return Federation.objects.select_for_update(no_key=True).get(pk=federation_id)


def _require_alive(federation: Federation) -> None:
    if federation.state == FederationState.DISSOLVED:
        raise FederationClosed(
            _("%(name)s is %(state)s.")
            % {"name": federation.name, "state": federation.get_state_display()}
        )
