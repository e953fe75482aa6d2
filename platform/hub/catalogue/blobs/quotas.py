"""How much an organisation's uploads and a federation's artifacts take, and may take."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.conf import settings
from django.db.models import QuerySet, Sum
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop

from hub.catalogue.errors import QuotaReached
from hub.catalogue.models import (
    Artifact,
    BaseModelFile,
    DraftFile,
    DraftState,
    Grant,
    Upload,
    UploadState,
)
from hub.organisations.models import Organisation

RETRY_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Usage:
    """Bytes that are stored or have been announced; content that is there twice counts once."""

    used_bytes: int
    limit_bytes: int  # 0: no limit

    @property
    def share(self) -> float:
        """Of the limit, up to 1; 0 where there is none."""
        return min(1.0, self.used_bytes / self.limit_bytes) if self.limit_bytes else 0.0

    def has_room_for(self, size_bytes: int) -> bool:
        return not self.limit_bytes or self.used_bytes + size_bytes <= self.limit_bytes


def usage_of_organisation(organisation_id: UUID) -> Usage:
    """What its agents uploaded, and the base models that it brought."""
    uploads = Upload.objects.filter(agent__organisation=organisation_id)
    of_bases = BaseModelFile.objects.filter(base_model__brought_by=organisation_id)
    drafted = DraftFile.objects.filter(
        draft__organisation=organisation_id, draft__state=DraftState.OPEN
    )
    stored = _complete(uploads).union(of_bases.values_list("artifact_id"))
    used = _stored(stored) + _announced(uploads) + _sum(drafted)
    return Usage(used, _quota_of(organisation_id))


def _quota_of(organisation_id: UUID) -> int:
    """Its own, where an operator has given it one, else that of all."""
    own = Organisation.objects.values_list("quota_bytes", flat=True).get(pk=organisation_id)
    return settings.ORGANISATION_QUOTA_BYTES if own is None else own


def usage_of_federation(federation_id: UUID) -> Usage:
    """The updates that were sent for it, and what all who take part may read."""
    uploads = Upload.objects.filter(federation=federation_id)
    granted = Grant.objects.filter(federation=federation_id).values_list("artifact_id")
    used = _stored(_complete(uploads).union(granted)) + _announced(uploads)
    return Usage(used, settings.FEDERATION_QUOTA_BYTES)


@dataclass(frozen=True, slots=True)
class Sender:
    """What the agents of an organisation have sent; what was sent twice counts twice here."""

    name: str
    slug: str
    sent_bytes: int
    quota_bytes: int | None  # its own; none: that of all


def largest_senders(limit: int) -> list[Sender]:
    """The organisations that have sent most, in one query."""
    sent = Upload.objects.filter(state=UploadState.COMPLETE).values_list(
        "agent__organisation__name", "agent__organisation__slug", "agent__organisation__quota_bytes"
    )
    rows = sent.annotate(total=Sum("size_bytes")).order_by("-total")[:limit]
    return [Sender(name, slug, total, quota) for name, slug, quota, total in rows]


def require_room(
    *, size_bytes: int, organisation_id: UUID | None, federation_id: UUID | None = None
) -> None:
    """Nothing is locked: requests at the same instant may overshoot by a few.

    Raises:
        QuotaReached: before a byte is taken.
    """
    if organisation_id:
        _check(_ORGANISATION, usage_of_organisation(organisation_id), size_bytes)
    if federation_id:
        _check(_FEDERATION, usage_of_federation(federation_id), size_bytes)


_ORGANISATION = _noop("The organisation may store %(limit)s bytes; an operator can allow more.")
_FEDERATION = _noop("The federation may store %(limit)s bytes; an operator can allow more.")


def _check(whose: str, usage: Usage, size_bytes: int) -> None:
    if not usage.has_room_for(size_bytes):
        raise QuotaReached(
            _(whose) % {"limit": usage.limit_bytes},
            retry_after=RETRY_SECONDS,
        )


def _complete(uploads: QuerySet[Upload]) -> QuerySet[Upload, tuple[str]]:
    return uploads.filter(state=UploadState.COMPLETE).values_list("sha256")


def _stored(digests: QuerySet[Upload, tuple[str]]) -> int:
    found = Artifact.objects.filter(pk__in=digests).aggregate(total=Sum("size_bytes"))
    return found["total"] or 0


def _announced(uploads: QuerySet[Upload]) -> int:
    return _sum(uploads.filter(state=UploadState.OPEN))


def _sum(rows: QuerySet[Upload] | QuerySet[DraftFile]) -> int:
    return rows.aggregate(total=Sum("size_bytes"))["total"] or 0
