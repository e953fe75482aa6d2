"""The statement of one organisation, to read, to print and for spreadsheets."""

from __future__ import annotations

import csv
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.common.languages import on_record
from hub.contributions.sheets import plain
from hub.contributions.statements import COLUMNS, Statement, rows_of
from hub.federations.models import Federation, Participation
from hub.federations.selectors import federations_of


@require_safe
@login_required
def statement(request: HttpRequest, slug: str, participation_id: UUID) -> HttpResponse:
    federation, participation = _found(request, slug, participation_id)
    context = {
        "federation": federation,
        "participation": participation,
        "statement": Statement(participation),
        "made_at": timezone.now(),
    }
    return render(request, "contributions/statement.html", context)


@require_safe
@login_required
def download(request: HttpRequest, slug: str, participation_id: UUID) -> HttpResponse:
    """Every figure of a statement as CSV, with the ledger's entry that it follows from."""
    _, participation = _found(request, slug, participation_id)
    name = f"{slug}-{participation.organisation.slug}-statement.csv"
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    with on_record():
        for row in rows_of(Statement(participation).lines()):
            writer.writerow([plain(cell) if isinstance(cell, str) else cell for cell in row])
    return response


def _found(
    request: HttpRequest, slug: str, participation_id: UUID
) -> tuple[Federation, Participation]:
    """What members of a federation see of each other's; nobody else sees any."""
    federation = get_object_or_404(federations_of(person_of(request)), slug=slug)
    places = federation.participations.select_related("organisation")
    return federation, get_object_or_404(places, pk=participation_id)
