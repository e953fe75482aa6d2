"""Reads of charters: the texts, who signed them, and who is awaited."""

from __future__ import annotations

from uuid import UUID

from django.db.models import F, Prefetch, QuerySet

from hub.federations.models import (
    CharterVersion,
    Federation,
    Participation,
    ParticipationState,
    Signature,
)

ENDED = (ParticipationState.REFUSED, ParticipationState.LEFT, ParticipationState.EXPELLED)


def versions_of(federation: Federation) -> QuerySet[CharterVersion]:
    """All texts, the newest first, without the words; each with who signed it."""
    signatures = Signature.objects.select_related("participation__organisation", "signed_by")
    return (
        federation.charter_versions.select_related("made_by")
        .defer("text")
        .prefetch_related(Prefetch("signatures", queryset=signatures))
        .order_by("-number")
    )


def version_of(federation: Federation, number: int) -> CharterVersion | None:
    return federation.charter_versions.filter(number=number).first()


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
