"""Pages of a federation's line: where a version comes from, what is decided, what it is called."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions import aliases, releases
from hub.catalogue.versions.commits import newest_commit
from hub.catalogue.versions.decisions import (
    KINDS,
    PROPOSALS_SHOWN,
    FederationDecisions,
    VersionDecisions,
)
from hub.catalogue.versions.drawing import drawn
from hub.catalogue.versions.lineage import CHAINS_SHOWN, chains_of, lineage_of, page_with, runs_of
from hub.catalogue.versions.lines import with_origin
from hub.catalogue.versions.provenance import provenance_of
from hub.common.forms import reason_in
from hub.common.refusals import told
from hub.federations.models import Federation
from hub.federations.proposals.boards import open_first
from hub.federations.proposals.selectors import proposals_visible_to
from hub.federations.selectors import federations_of

CHILDREN_SHOWN = 20


@require_safe
@login_required
def origins(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Everything that a version was made of."""
    found = _version(request, pk)
    context = {
        "version": found,
        "record": provenance_of(found),
        "children": found.children.order_by("number")[:CHILDREN_SHOWN],
        "newest": newest_commit(found),
    }
    return render(request, "catalogue/origins.html", context)


@require_safe
@login_required
def version_decisions(request: HttpRequest, pk: UUID) -> HttpResponse:
    """What was proposed and decided about a version, and what it is called."""
    found = _version(request, pk)
    board = VersionDecisions(found, person_of(request))
    return render(request, "catalogue/version_decisions.html", {"version": found, "board": board})


@require_safe
@login_required
def decisions(request: HttpRequest, slug: str) -> HttpResponse:
    """Proposals about a line, those that are open first, and its names."""
    federation = _federation(request, slug)
    user = person_of(request)
    board = FederationDecisions(federation, user)
    found = proposals_visible_to(user).filter(federation=federation, kind__in=KINDS)
    rows = board.reader.rows(open_first(found)[:PROPOSALS_SHOWN])
    context = {"federation": federation, "board": board, "rows": rows}
    return render(request, "catalogue/decisions.html", context)


@require_POST
@login_required
def propose(request: HttpRequest, pk: UUID) -> HttpResponse:
    shown = reverse("catalogue:version_decisions", args=[pk])
    with told(request):
        made = releases.propose_release(
            user=person_of(request), version_id=pk, reason=reason_in(request.POST)
        )
        messages.success(request, _("It is proposed. Everybody in the federation sees it here."))
        shown = reverse("federations:proposal", args=[made.pk])
    return redirect(shown)


@require_POST
@login_required
def give_name(request: HttpRequest, pk: UUID) -> HttpResponse:
    name = request.POST.get("name", "").strip()[:200]
    with told(request):
        aliases.give_alias(user=person_of(request), version_id=pk, name=name)
        messages.success(request, _("It is called %(name)s now.") % {"name": name})
    return redirect("catalogue:version_decisions", pk)


@require_POST
@login_required
def remove_name(request: HttpRequest, slug: str) -> HttpResponse:
    federation = _federation(request, slug)
    name = request.POST.get("name", "")
    with told(request):
        aliases.remove_alias(user=person_of(request), federation_id=federation.pk, name=name)
        messages.success(request, _("%(name)s means no version any more.") % {"name": name})
    return redirect("catalogue:decisions", slug)


@require_safe
@login_required
def lineage(request: HttpRequest, slug: str) -> HttpResponse:
    """Which version came from which; `?at=7` opens the page that has version 7."""
    federation = _federation(request, slug)
    pages = Paginator(runs_of(federation), CHAINS_SHOWN)
    at = request.GET.get("at", "")
    wanted = page_with(federation, int(at[:9])) if at.isdecimal() else request.GET.get("page")
    page = pages.get_page(wanted)
    shown = cast("QuerySet[Any, Any]", page.object_list)
    found = lineage_of(federation, list(chains_of(federation, shown)))
    context = {"federation": federation, "page": page, "lineage": found, "at": at}
    return render(request, "catalogue/lineage.html", {**context, "drawing": drawn(found)})


def _version(request: HttpRequest, pk: UUID) -> ModelVersion:
    visible = selectors.versions_visible_to(person_of(request))
    return get_object_or_404(with_origin(visible), pk=pk)


def _federation(request: HttpRequest, slug: str) -> Federation:
    return get_object_or_404(federations_of(person_of(request)), slug=slug)
