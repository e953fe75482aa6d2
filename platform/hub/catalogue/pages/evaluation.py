"""The page that says what evaluations found: together, by organisation, by label, by gate."""

from __future__ import annotations

from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.evaluation.assessing import Assessment
from hub.catalogue.versions.lines import with_origin


@require_safe
@login_required
def evaluation(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = person_of(request)
    found = get_object_or_404(with_origin(selectors.versions_visible_to(user)), pk=pk)
    context = {"version": found, "assessment": Assessment(found, user)}
    return render(request, "catalogue/evaluation.html", context)
