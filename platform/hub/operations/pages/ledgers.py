"""Ledgers: which were stopped and why, and how far each is signed."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Case, OuterRef, Subquery, Value, When
from django.http import HttpRequest

from hub.federations.models import Federation
from hub.ledger.models import Checkpoint, Head
from hub.operations.pages.parts import Cell, Section, link, moment, number, page_of

RESUMING = (
    "A ledger is stopped when the database is not what was signed. It takes entries again after "
    "`manage.py resume_ledger`, where the ledgers' key is: a session here is not enough for that."
)


def sections(request: HttpRequest) -> Iterator[Section]:
    newest = Checkpoint.objects.filter(ledger=OuterRef("ledger")).order_by("-size")
    heads = Head.objects.annotate(
        federation=Subquery(Federation.objects.filter(pk=OuterRef("ledger")).values("name")),
        signed=Subquery(newest.values("size")[:1]),
        signed_at=Subquery(newest.values("at")[:1]),
        order=Case(When(stopped="", then=Value(1)), default=Value(0)),
    ).order_by("order", "federation")
    page = page_of(heads, request)
    yield Section(
        "Ledgers",
        lead=RESUMING,
        head=(
            "Federation",
            "State",
            "Entries",
            "Grew",
            "Signed up to",
            "Last checkpoint",
            "To resume",
        ),
        rows=[_row(head) for head in page],
        empty="No federation has been founded yet.",
        page=page,  # type: ignore[arg-type]  # a page of ledgers is one of objects
        is_attention=any(head.stopped for head in page),
    )


def _row(head: Head) -> list[Cell]:
    name, signed, signed_at = head.federation, head.signed, head.signed_at  # type: ignore[attr-defined]
    is_stopped = bool(head.stopped)
    behind = head.size - (signed or 0)
    words = "stopped" if is_stopped else "signed" if not behind else f"{behind} unsigned"
    tone = "negative" if is_stopped else "positive" if not behind else "attention"
    command = f'manage.py resume_ledger {head.ledger} --reason "…"' if is_stopped else "–"
    return [
        link(head, name or head.ledger),
        Cell(words, tone=tone, note=f"{head.stopped}: {head.stopped_reason}" if is_stopped else ""),
        number(head.size),
        moment(head.at),
        number(signed or 0),
        moment(signed_at, "never"),
        Cell(command),
    ]
