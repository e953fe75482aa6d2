"""The page that sets versions side by side."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode

from django.contrib.auth.decorators import login_not_required, login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from hub.accounts.selectors import person_of
from hub.catalogue.models import ModelVersion
from hub.catalogue.playground.asking import Playground
from hub.catalogue.playground.forms import QuestionForm
from hub.catalogue.versions.distances import MOST_COMPARED, ask_distances
from hub.catalogue.versions.lines import with_origin
from hub.common.refusals import told
from hub.federations.models import Federation
from hub.federations.selectors import federations_of
from hub.runs.compared import Compared

FEWEST = 2


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def compare(request: HttpRequest, slug: str) -> HttpResponse:
    """Versions side by side, named by their numbers: `?v=3&v=5`; POST measures their distances."""
    federation = _federation(request, slug)
    numbers = _numbers(request.GET.getlist("v"))
    versions = _versions(federation, numbers)
    if request.method == "POST":
        with told(request):
            ids = [version.pk for version in versions]
            ask_distances(user=person_of(request), version_ids=ids)
        query = urlencode([("v", version.number) for version in versions])
        return redirect(f"{reverse('runs:compare_versions', args=[slug])}?{query}")
    return render(request, "runs/compare_versions.html", _context(request, federation, versions))


@login_not_required
@require_safe
def distances(request: HttpRequest, slug: str) -> HttpResponse:
    """The distances again, by themselves."""
    if not request.user.is_authenticated:
        return HttpResponse(status=401, headers={"HX-Refresh": "true"})
    federation = _federation(request, slug)
    versions = _versions(federation, _numbers(request.GET.getlist("v")))
    context = _context(request, federation, versions)
    return render(request, "runs/compare_versions.html#distances", context)


def _context(
    request: HttpRequest, federation: Federation, versions: list[ModelVersion]
) -> dict[str, object]:
    is_enough = len(versions) >= FEWEST
    return {
        "nav": "catalogue",
        "federation": federation,
        "versions": versions,
        "most": MOST_COMPARED,
        "query": urlencode([("v", version.number) for version in versions]),
        "board": Compared(versions, person_of(request)) if is_enough else None,
        "question": _question(versions) if is_enough else None,
    }


def _question(versions: list[ModelVersion]) -> QuestionForm | None:
    """What asks all of them the same; none where one cannot be tried, or is asked otherwise."""
    grounds = [Playground(version) for version in versions]
    kinds = {None if ground.refusal else ground.kind for ground in grounds}
    kind = kinds.pop()
    return QuestionForm(kind) if kind and not kinds else None


def _federation(request: HttpRequest, slug: str) -> Federation:
    return get_object_or_404(federations_of(person_of(request)), slug=slug)


def _versions(federation: Federation, numbers: list[int]) -> list[ModelVersion]:
    """Those that there are, the oldest first."""
    found = federation.versions.filter(number__in=numbers)
    return list(with_origin(found).select_related("adapter").order_by("number"))


def _numbers(given: Iterable[str]) -> list[int]:
    """The first few that are numbers."""
    known = (int(one[:9]) for one in given if one[:9].isdecimal() and one.isascii())
    return list(dict.fromkeys(known))[:MOST_COMPARED]
