"""Rows of charters and signatures, and what the ledger is told of them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from hub.accounts.models import User
from hub.federations.entries import tell_published, tell_signed
from hub.federations.models import (
    CharterVersion,
    Federation,
    Participation,
    ParticipationState,
    Signature,
)


def write_version(
    federation: Federation, *, made_by: UUID | None, proposal: UUID | None = None
) -> CharterVersion:
    """Keep the federation's present text as its present version; the ledger knows its digest."""
    version = CharterVersion.objects.create(
        federation=federation,
        number=federation.charter_number,
        text=federation.charter,
        digest=federation.charter_digest,
        made_by_id=made_by,
        proposal=proposal,
    )
    if version.number > 1:  # the first is in the entry of the founding
        tell_published(version)
    return version


def signature_of(user: User, federation: Federation) -> dict[str, Any]:
    """The columns of a place that has signed the present text just now."""
    return {
        "charter_digest": federation.charter_digest,
        "charter_number": federation.charter_number,
        "signed_by": user,
        "signed_at": timezone.now(),
    }


def write_signature(place: Participation, licence_digest: str) -> Signature:
    """Keep what the place's columns say; who comes back to a text has signed it anew.

    The ledger is told of members only: with their admission, or of each later signature.
    """
    version = CharterVersion.objects.get(
        federation=place.federation_id, number=place.charter_number
    )
    signature, _made = Signature.objects.update_or_create(
        participation=place,
        version=version,
        defaults={
            "signed_by": place.signed_by,
            "signed_at": place.signed_at,
            "licence_digest": licence_digest,
        },
    )
    if place.state == ParticipationState.ACTIVE:
        tell_signed(place)
    return signature
