"""What is stored: by organisation with its quota and how it grows, and what nobody will use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.utils import timezone

from hub.catalogue.blobs.sweeps import unheld
from hub.catalogue.models import BaseModelFile, Upload, UploadState
from hub.common.templatetags.foedus import human_bytes
from hub.operations import machines, selectors
from hub.operations.pages.parts import Cell, Section, acts_of, link, moment, number, size
from hub.operations.troubles import idle_uploads
from hub.organisations.models import Organisation

SHOWN = 50
WEEK = timedelta(days=7)


def sections(request: HttpRequest) -> Iterator[Section]:
    yield _whole()
    yield _by_organisation(request)
    yield _orphaned()
    yield _idle(request)


def _whole() -> Section:
    stored, disk = selectors.stored(), machines.blob_disk()
    facts = [
        ("Artifacts", number(stored.artifacts)),
        ("Their bytes", size(human_bytes(stored.bytes))),
    ]
    if disk:
        used = f"{human_bytes(disk.used_bytes)} of {human_bytes(disk.bytes)}"
        facts.append(("Disk under the blobs", Cell(used, share=disk.used_percent / 100)))
    else:
        facts.append(("Bucket", Cell(settings.BLOB_BUCKET)))
    return Section("Altogether", facts=facts)


def _by_organisation(request: HttpRequest) -> Section:
    growth = _growth()
    brought = dict(
        BaseModelFile.objects.filter(base_model__brought_by__isnull=False)
        .order_by()
        .values_list("base_model__brought_by")
        .annotate(Sum("artifact__size_bytes"))
    )
    ids = {*growth, *brought}
    used = {pk: growth.get(pk, {}).get("sent", 0) + (brought.get(pk) or 0) for pk in ids}
    largest = sorted(ids, key=lambda pk: -used[pk])[:SHOWN]
    owners = Organisation.objects.in_bulk(largest)
    return Section(
        f"By organisation, the {SHOWN} largest" if len(ids) > SHOWN else "By organisation",
        lead="What its agents sent, and the base models that it brought. Content that was sent "
        "twice counts twice here, and once in the quota.",
        head=(
            "Organisation",
            "Stored",
            "Of its quota",
            "In the last week",
            "The week before",
            "Acts",
        ),
        rows=[_row(owners[pk], used[pk], growth.get(pk, {}), request) for pk in largest],
        empty="Nobody has stored anything yet.",
    )


def _growth() -> Mapping[Any, Mapping[str, Any]]:
    """Bytes by organisation: all that its agents sent, and of the last two weeks."""
    now = timezone.now()
    last, before = Q(created_at__gt=now - WEEK), Q(created_at__gt=now - 2 * WEEK)
    found = (
        Upload.objects.filter(state=UploadState.COMPLETE)
        .order_by()
        .values("agent__organisation")
        .annotate(
            sent=Sum("size_bytes", default=0),
            last=Sum("size_bytes", filter=last, default=0),
            before=Sum("size_bytes", filter=before & ~last, default=0),
        )
    )
    return {one["agent__organisation"]: dict(one) for one in found}


def _row(
    owner: Organisation, used: int, growth: Mapping[str, Any], request: HttpRequest
) -> list[Cell]:
    own = owner.quota_bytes
    quota = settings.ORGANISATION_QUOTA_BYTES if own is None else own
    share = min(1.0, used / quota) if quota else None
    return [
        link(owner),
        size(human_bytes(used)),
        Cell(human_bytes(quota) if quota else "no limit", share=share),
        size(human_bytes(growth.get("last", 0))),
        size(human_bytes(growth.get("before", 0))),
        acts_of(owner, request, "quota"),
    ]


def _orphaned() -> Section:
    free = unheld(timezone.now()).aggregate(count=Count("pk"), bytes=Sum("size_bytes", default=0))
    waiting = Upload.objects.filter(state=UploadState.COMPLETE).aggregate(count=Count("pk"))
    return Section(
        "What nothing names",
        lead="Housekeeping deletes it when nobody has brought it for a day; a complete upload "
        "waits a week for its update.",
        facts=[
            ("Artifacts that nothing names", number(free["count"])),
            ("Their bytes", size(human_bytes(free["bytes"]))),
            ("Complete uploads on record", number(waiting["count"])),
        ],
    )


def _idle(request: HttpRequest) -> Section:
    idle = idle_uploads().select_related("agent__organisation").order_by("touched_at")
    found = list(idle[:SHOWN])
    return Section(
        "Uploads that stand still",
        lead="Their agents went away. Housekeeping closes them, and the agent begins anew.",
        head=("Upload", "Organisation", "Agent", "Arrived", "Last part", "Acts"),
        rows=[
            [
                link(one, one.sha256[:8]),
                link(one.agent.organisation),
                link(one.agent),
                size(f"{human_bytes(one.offset)} of {human_bytes(one.size_bytes)}"),
                moment(one.touched_at),
                acts_of(one, request),
            ]
            for one in found
        ],
        empty="No upload stands still.",
        is_attention=bool(found),
    )
