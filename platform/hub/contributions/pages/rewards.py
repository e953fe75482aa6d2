"""Credits: what each organisation has, and how those of each run were split."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.common.refusals import told
from hub.contributions.rewards.balances import balances_of, credits_in, named, promising_runs
from hub.contributions.rewards.correcting import correct
from hub.contributions.rewards.granting import grant_now
from hub.federations.models import Standing
from hub.federations.places import places_in
from hub.federations.selectors import federations_of
from hub.organisations.models import Membership
from hub.organisations.permissions import Permission, granting

RUNS_SHOWN = 10


@require_safe
@login_required
def rewards(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    places = places_in(federation.pk, user)
    page = Paginator(promising_runs(federation), RUNS_SHOWN).get_page(request.GET.get("page"))
    decides = Membership.objects.filter(
        granting(Permission.GRANT_CREDITS),
        user=user,
        organisation__participations__federation=federation,
        organisation__participations__standing=Standing.LEAD,
    )
    context = {
        "federation": federation,
        "balances": named(balances_of(federation), places),
        "runs": [(one, named(one.balances, places)) for one in map(credits_in, page)],
        "page": page,
        "decides": decides.exists(),
    }
    return render(request, "contributions/rewards.html", context)


@require_POST
@login_required
def split_now(request: HttpRequest, slug: str, run_id: UUID) -> HttpResponse:
    with told(request):
        grant_now(user=person_of(request), run_id=run_id)
    return redirect("contributions:rewards", slug)


@require_POST
@login_required
def correct_now(request: HttpRequest, slug: str, run_id: UUID) -> HttpResponse:
    with told(request):
        correct(user=person_of(request), run_id=run_id)
    return redirect("contributions:rewards", slug)
