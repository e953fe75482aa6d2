"""Pages of contributions: what every organisation gave, as metered facts."""

from __future__ import annotations

import csv

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.contributions.selectors import of_purpose
from hub.contributions.sheets import COLUMNS, Sheet, facts_of, rows_of
from hub.federations.selectors import federations_of

FACTS_SHOWN = 25


@require_safe
@login_required
def facts(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    apart = "baselines" in request.GET
    facts = (
        facts_of(federation)
        .filter(of_purpose(apart=apart))
        .order_by("-round__created_at", "participation__created_at", "-id")
    )
    page = Paginator(facts, FACTS_SHOWN).get_page(request.GET.get("page"))
    sheet = Sheet(federation, user, apart=apart)
    context = {
        "federation": federation,
        "sheet": sheet,
        "page": page,
        "facts": [(fact, sheet.places[fact.participation_id]) for fact in page],
    }
    return render(request, "contributions/facts.html", context)


@require_safe
@login_required
def download(request: HttpRequest, slug: str) -> HttpResponse:
    """Every fact as CSV, the oldest first."""
    federation = get_object_or_404(federations_of(person_of(request)), slug=slug)
    response = HttpResponse(content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{slug}-contributions.csv"'
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    writer.writerows(rows_of(federation))
    return response
