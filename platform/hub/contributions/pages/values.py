"""What contributions were worth: by organisation and by round, and what it took to know."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.contributions import charts
from hub.contributions.sheets import Sheet
from hub.contributions.valued import values_of
from hub.federations.selectors import federations_of


@require_safe
@login_required
def values(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    worths, sheet = values_of(federation), Sheet(federation, user)
    examples = {one.place.id: one.sums for one in sheet.totals}
    positive = sum(max(one.value, 0.0) for one in worths.ranking)
    context = {
        "federation": federation,
        "worths": worths,
        "rows": [
            {
                "worth": one,
                "place": sheet.places[one.participation],
                "share": max(one.value, 0.0) / positive if positive else None,
                "sums": examples.get(one.participation),
            }
            for one in worths.ranking
        ],
        "together": charts.together(worths, sheet.places),
        "by_round": charts.by_round(worths, sheet.places),
        "against_volume": charts.against_volume(worths, sheet.totals),
    }
    return render(request, "contributions/values.html", context)
