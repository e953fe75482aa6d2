"""The ledger of a federation: its entries, the proof of each, and who has seen its checkpoints."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.db.models import Prefetch
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.common.errors import NotFound
from hub.federations.models import Federation
from hub.federations.places import Place, places_in
from hub.federations.selectors import federations_of
from hub.ledger import selectors
from hub.ledger.models import Checkpoint, Cosignature, Entry, EntryType, Head

ENTRIES_SHOWN = 25
CHECKPOINTS_SHOWN = 5


@require_safe
@login_required
def entries(request: HttpRequest, slug: str) -> HttpResponse:
    """The newest entries first, of one type or of all; `before` leads to older ones."""
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    kind = _kind(request.GET.get("type", ""))
    found = selectors.entries_of(federation.pk).order_by("-position")
    if kind:
        found = found.filter(type=kind)
    if (before := request.GET.get("before", "")).isdecimal():
        found = found.filter(position__lt=min(int(before), 2**63 - 1))
    shown = list(found[: ENTRIES_SHOWN + 1])
    places = places_in(federation.pk, user)
    checkpoints = _checkpoints(federation, places)
    context = {
        "federation": federation,
        "head": Head.objects.filter(ledger=federation.pk).first(),
        "entries": [
            (one, label_of(one), bytes(one.leaf or b"").hex()) for one in shown[:ENTRIES_SHOWN]
        ],
        "older": shown[ENTRIES_SHOWN - 1].position if len(shown) > ENTRIES_SHOWN else None,
        "is_first": not before,
        "kind": kind,
        "kinds": EntryType.choices,
        "checkpoints": checkpoints,
        "note": checkpoints[0]["checkpoint"].note if checkpoints else "",
        "members": sum(place.is_active for place in places.values()),
        "vkey": settings.LEDGER_VERIFIER_KEY,
        "export": reverse("ledger-export", args=[federation.pk]),
    }
    return render(request, "contributions/ledger.html", context)


def label_of(entry: Entry) -> str:
    """What it tells, in words; a type of a later hub as it is written."""
    return str(EntryType(entry.type).label) if entry.type in EntryType.values else entry.type


def _kind(name: str) -> str:
    return name if name in EntryType.values else ""


def _checkpoints(federation: Federation, places: Mapping[UUID, Place]) -> list[dict[str, Any]]:
    """The newest checkpoints with the organisations whose agents have cosigned them."""
    seen = Prefetch("cosignatures", Cosignature.objects.order_by("id"))
    found = selectors.checkpoints_of(federation.pk).prefetch_related(seen).order_by("-size")
    return [
        {"checkpoint": one, "root": bytes(one.root).hex(), "witnesses": _witnesses(one, places)}
        for one in found[:CHECKPOINTS_SHOWN]
    ]


def _witnesses(checkpoint: Checkpoint, places: Mapping[UUID, Place]) -> list[Place]:
    cosigned = {one.participation for one in checkpoint.cosignatures.all()}
    return [place for place in places.values() if place.id in cosigned]


@require_safe
@login_required
def entry(request: HttpRequest, slug: str, index: int) -> HttpResponse:
    """One entry, with the proof that it is in the newest checkpoint that covers it."""
    federation = get_object_or_404(federations_of(person_of(request)), slug=slug)
    try:
        found = selectors.entry_at(federation.pk, index)
    except NotFound as absent:
        raise Http404(absent.detail) from absent
    checkpoint = selectors.checkpoints_of(federation.pk).filter(size__gt=index).last()
    proof = selectors.inclusion_proof(federation.pk, index, checkpoint.size) if checkpoint else []
    context = {
        "federation": federation,
        "entry": found,
        "kind": label_of(found),
        "before": index - 1,
        "after": index + 1,
        "has_next": index + 1 < selectors.size_of(federation.pk),
        "root": bytes(checkpoint.root).hex() if checkpoint else "",
        "leaf": bytes(found.leaf or b"").hex(),
        "payload": json.dumps(json.loads(found.payload), indent=2, ensure_ascii=False),
        "checkpoint": checkpoint,
        "proof": [step.hex() for step in proof],
    }
    return render(request, "contributions/entry.html", context)
