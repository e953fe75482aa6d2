"""Reads of charters: the texts, who signed them, and who is awaited."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from django.db.models import F, QuerySet

from hub.federations.models import (
    CharterVersion,
    Federation,
    Participation,
    ParticipationState,
    Signature,
)

ENDED = (ParticipationState.REFUSED, ParticipationState.LEFT, ParticipationState.EXPELLED)


def version_of(federation: Federation, number: int) -> CharterVersion | None:
    return federation.charter_versions.filter(number=number).first()


def signatures_under(version: CharterVersion | None) -> QuerySet[Signature]:
    """Who has signed a text, in the order in which they did."""
    signatures = Signature.objects.select_related("participation__organisation", "signed_by")
    return signatures.filter(version=version).order_by("signed_at", "pk")


def unsigned_places(federation: Federation) -> QuerySet[Participation]:
    """Members that have not signed the present text; the lead's first, then as they came."""
    return unsigned_in(federation.pk)


def unsigned_in(federation_id: UUID) -> QuerySet[Participation]:
    """The same, as it is in the database now."""
    return (
        Participation.objects.filter(federation=federation_id, state=ParticipationState.ACTIVE)
        .exclude(charter_number=F("federation__charter_number"))
        .select_related("organisation")
        .order_by("created_at", "pk")
    )


def charter_digest_at(federation: Federation, at: datetime) -> str:
    """Of the text that was in force then; the first one's, where nothing older is known."""
    texts = federation.charter_versions.order_by("-number")
    found = texts.filter(created_at__lte=at).first() or texts.last()
    return found.digest if found else federation.charter_digest
