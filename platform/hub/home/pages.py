"""The front page: what Foedus is to a stranger, what needs them to everybody else."""

from __future__ import annotations

from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.home.desk import Desk


@login_not_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        return render(request, "home/front.html")
    part = "#live" if request.htmx else ""  # type: ignore[attr-defined]  # of django-htmx
    return render(request, f"home/home.html{part}", {"desk": Desk(person_of(request))})
