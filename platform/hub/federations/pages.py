"""Pages of federations: look, let in, leave, and what each organisation says of itself."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.common.forms import reason_in, sent
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.federations import selectors, services
from hub.federations.charters.boards import awaited_words, unsigned_of
from hub.federations.charters.pages import address, visible
from hub.federations.forms import DeclarationForm, DescriptionForm, RankForm, StatementForm
from hub.federations.models import Participation
from hub.organisations.permissions import Permission

RUNS_SHOWN, VERSIONS_SHOWN = 10, 5


@require_safe
@login_required
def federation(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    found = visible(user, slug)
    standpoint = selectors.standpoint(user, found)
    context: dict[str, Any] = {"federation": found, "standpoint": standpoint, "shown": "overview"}
    if standpoint.own and found.base_model.must_accept:
        signed = found.base_model.acceptances.filter(organisation__memberships__user=user)
        context["accepted"] = set(signed.values_list("organisation_id", flat=True))
    if standpoint.is_inside:
        # Runs and versions belong to higher apps: only the database follows these arrows.
        context["runs"] = found.runs.select_related("created_by")[:RUNS_SHOWN]
        line = found.versions.filter(is_baseline=False)
        context["versions"] = line.select_related("round__run")[:VERSIONS_SHOWN]
        unsigned = unsigned_of(found, standpoint)
        context["awaited"] = awaited_words(unsigned)
        own = {seat.place.pk for seat in standpoint.own if seat.may_sign}
        context["to_sign"] = any(place.pk in own for place in unsigned)
        context["probe"] = found.probes.select_related("artifact", "uploaded_by").first()
    return render(request, "federations/detail.html", context)


@require_POST
@login_required
def approve(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.approve_participation(user=person_of(request), participation_id=place.pk)
        messages.success(
            request,
            _("%(organisation)s takes part from now on.") % {"organisation": place.organisation},
        )
    return redirect("federations:members", place.federation.slug)


@require_POST
@login_required
def refuse(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.refuse_participation(
            user=person_of(request),
            participation_id=place.pk,
            reason=reason_in(request.POST),
        )
        messages.success(
            request,
            _("%(organisation)s was not let in, and reads why.")
            % {"organisation": place.organisation},
        )
    return redirect(address(place.federation))


@require_POST
@login_required
def leave(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        done = services.leave(
            user=person_of(request),
            participation_id=place.pk,
            reason=reason_in(request.POST),
            after_round=request.POST.get("when") == "after_round",
        )
        if done.leaving_since is not None:
            messages.success(
                request,
                _("%(organisation)s leaves after the present round.")
                % {"organisation": place.organisation},
            )
            return redirect(address(place.federation))
        messages.success(
            request,
            _("%(organisation)s has left %(federation)s.")
            % {"organisation": place.organisation, "federation": place.federation},
        )
    return redirect("federations:list")


@require_POST
@login_required
def stay(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    """Take back the wish to leave."""
    place = _place(request, participation_id)
    with told(request):
        services.stay(user=person_of(request), participation_id=place.pk)
        messages.success(
            request, _("%(organisation)s stays.") % {"organisation": place.organisation}
        )
    return redirect(address(place.federation))


@require_POST
@login_required
def rank(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.set_rank(
            user=person_of(request),
            participation_id=place.pk,
            rank=sent(RankForm(request.POST), "rank"),
        )
        messages.success(
            request,
            _("Saved for %(organisation)s, from the next run on.")
            % {"organisation": place.organisation},
        )
    return redirect(address(place.federation))


@require_POST
@login_required
def statement(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.set_data_statement(
            user=person_of(request),
            participation_id=place.pk,
            statement=sent(StatementForm(request.POST), "statement"),
        )
        messages.success(
            request,
            _("Saved for %(organisation)s, for the cards to come.")
            % {"organisation": place.organisation},
        )
    return redirect(address(place.federation))


@require_POST
@login_required
def declare(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    """Sign how many examples an organisation has, at most."""
    place = _place(request, participation_id)
    form = DeclarationForm(request.POST)
    with told(request):
        services.declare_data(
            user=person_of(request),
            participation_id=place.pk,
            train_examples=sent(form, "train_examples"),
            test_examples=sent(form, "test_examples"),
        )
        messages.success(
            request,
            _("Signed for %(organisation)s; it holds from now on.")
            % {"organisation": place.organisation},
        )
    return redirect(address(place.federation))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def describe(request: HttpRequest, slug: str) -> HttpResponse:
    """What the federation's models are for, and for what not; the lead's people write it."""
    user = person_of(request)
    found = visible(user, slug)
    form = DescriptionForm(request.POST or None, instance=found)
    with refusals_on(form):
        selectors.require_place(user, found.pk, Permission.STEER_FEDERATIONS)
    if form.is_valid():
        with refusals_on(form):
            services.describe_federation(user=user, federation_id=found.pk, **form.cleaned_data)
            messages.success(request, _("Saved, for the cards of the versions to come."))
            return redirect(address(found))
    return render(request, "federations/describe.html", {"federation": found, "form": form})


def _place(request: HttpRequest, participation_id: UUID) -> Participation:
    places = selectors.participations_visible_to(person_of(request))
    return get_object_or_404(places, pk=participation_id)
