"""Pages of base models and versions: what there is, what it can do, where it comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.catalogue import selectors
from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions import registry
from hub.catalogue.versions.commits import files_of_commit
from hub.catalogue.versions.lines import (
    base_rows,
    chart_of_line,
    shelves_of,
    version_rows,
    with_names,
    with_open_proposals,
    with_origin,
)
from hub.catalogue.versions.volumes import Volume
from hub.common.forms import reason_in
from hub.common.refusals import told
from hub.federations.selectors import federations_of
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

VERSIONS_SHOWN = 20


@require_safe
@login_required
def models(request: HttpRequest) -> HttpResponse:
    """What the person's federations have made, and what they can start from."""
    user = person_of(request)
    context = {
        "shelves": shelves_of(user),
        "bases": base_rows(user),
        "drafts": selectors.drafts_of(user).filter(state__in=("open", "fetching"))[:20],
        "may_bring": user.is_staff or organisations_where(user, Permission.BRING_BASES).exists(),
    }
    return render(request, "catalogue/models.html", context)


@require_safe
@login_required
def versions(request: HttpRequest, slug: str) -> HttpResponse:
    """The line of a federation, the newest first; baselines apart."""
    own = with_open_proposals(federations_of(person_of(request)))
    federation = get_object_or_404(own, slug=slug)
    apart = "baselines" in request.GET
    line = federation.versions.filter(is_baseline=apart).order_by("-number")
    page = Paginator(line.values("pk"), VERSIONS_SHOWN).get_page(request.GET.get("page"))
    shown = cast("QuerySet[ModelVersion]", page.object_list)
    found = with_names(with_origin(federation.versions.filter(pk__in=shown)))
    context = {
        "federation": federation,
        "apart": apart,
        "tab": "baselines" if apart else "line",
        "page": page,
        "rows": version_rows(found.order_by("-number")),
        "chart": None if apart else chart_of_line(federation),
    }
    return render(request, "catalogue/versions.html", context)


@require_safe
@login_required
def version(request: HttpRequest, pk: UUID) -> HttpResponse:
    user = person_of(request)
    found = get_object_or_404(with_origin(selectors.versions_visible_to(user)), pk=pk)
    number = _commit_number(request)
    volume = Volume(found, user, number)
    if number is not None and volume.commit is None:
        raise Http404
    return render(request, "catalogue/version.html", {"version": found, "volume": volume})


def _commit_number(request: HttpRequest) -> int | None:
    """What `?commit=2` asks for; none without it, and 0, which no commit has, for no number."""
    asked = request.GET.get("commit")
    if asked is None:
        return None
    return int(asked[:9]) if asked.isascii() and asked.isdecimal() else 0


@require_safe
@login_required
def download(request: HttpRequest, pk: UUID, path: str) -> HttpResponseBase:
    """One file of a version, under its name; of an earlier commit with `?commit=`."""
    found = get_object_or_404(selectors.versions_visible_to(person_of(request)), pk=pk)
    number = _commit_number(request)
    files = found.files if number is None else files_of_commit(found, number)
    file = files.filter(path=path).select_related("artifact").first()
    if file is None:
        raise Http404
    return artifact_response(request, file.artifact, filename=path.rpartition("/")[2])


@require_POST
@login_required
def release(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _decide(request, pk, registry.release_version, _("{version} is released."))


@require_POST
@login_required
def retire(request: HttpRequest, pk: UUID) -> HttpResponse:
    return _decide(request, pk, registry.retire_version, _("{version} is retired."))


def _decide(
    request: HttpRequest, pk: UUID, service: Callable[..., ModelVersion], sentence: str
) -> HttpResponse:
    with told(request):
        done = service(user=person_of(request), version_id=pk, reason=reason_in(request.POST))
        name = _("Version %(number)s") % {"number": done.number}
        messages.success(request, sentence.format(version=name))
    return redirect("catalogue:version", pk)
