"""Pages of federations: found, find, join, look, decide."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.forms import reason_in, sent
from hub.common.pages import redirect_once, refusals_on
from hub.common.refusals import told
from hub.federations import selectors, services
from hub.federations.forms import (
    DeclarationForm,
    DescriptionForm,
    FederationForm,
    JoinForm,
    RankForm,
    StatementForm,
)
from hub.federations.models import Federation, Participation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

RUNS_SHOWN, VERSIONS_SHOWN = 10, 5


@require_safe
@login_required
def federations(request: HttpRequest) -> HttpResponse:
    """Those in which the person's organisations have a place, and those that they could join."""
    user = person_of(request)
    context = {
        "ours": selectors.places_of(user),
        "listed": selectors.federations_to_join(user),
        "may_found": organisations_where(user, Permission.FOUND_FEDERATIONS).exists(),
    }
    return render(request, "federations/list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = FederationForm(request.POST or None, user=user)
    if form.is_valid():
        with refusals_on(form):
            return redirect_once(request, form, lambda: _found(user, form))
    return render(request, "federations/new.html", {"form": form})


def _found(user: User, form: FederationForm) -> str:
    return _address(services.create_federation(user=user, **form.service_fields()))


@require_safe
@login_required
def federation(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    found = _visible(user, slug)
    standpoint = selectors.standpoint(user, found)
    context: dict[str, Any] = {"federation": found, "standpoint": standpoint}
    if standpoint.own and found.base_model.must_accept:
        signed = found.base_model.acceptances.filter(organisation__memberships__user=user)
        context["accepted"] = set(signed.values_list("organisation_id", flat=True))
    if standpoint.is_inside:
        # Runs and versions belong to higher apps: only the database follows these arrows.
        context["runs"] = found.runs.select_related("created_by")[:RUNS_SHOWN]
        line = found.versions.filter(is_baseline=False)
        context["versions"] = line.select_related("round__run")[:VERSIONS_SHOWN]
        context["probe"] = found.probes.select_related("artifact", "uploaded_by").first()
    return render(request, "federations/detail.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
            after_round=request.POST.get("when") == "after_round",
@login_required
        if done.leaving_since is not None:
            messages.success(request, f"{place.organisation} leaves after the present round.")
            return redirect(address(place.federation))
def join(request: HttpRequest, slug: str) -> HttpResponse:
    """Read the charter, sign it for an organisation, and ask to be let in."""
    user = person_of(request)
    found = _visible(user, slug)
@require_POST
@login_required
def stay(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    """Take back the wish to leave."""
    place = _place(request, participation_id)
    with told(request):
        services.stay(user=person_of(request), participation_id=place.pk)
        messages.success(request, f"{place.organisation} stays.")
    return redirect(address(place.federation))


    form = JoinForm(request.POST or None, user=user, federation=found)
    if form.is_valid():
        with refusals_on(form):
            place = services.request_to_join(
                user=user, federation_id=found.pk, **form.service_fields()
            )
            messages.success(request, f"{place.organisation} has signed and asks to join.")
            return redirect(_address(found))
    return render(request, "federations/join.html", {"federation": found, "form": form})


@require_POST
@login_required
def approve(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.approve_participation(user=person_of(request), participation_id=place.pk)
        messages.success(request, f"{place.organisation} takes part from now on.")
    return redirect(_address(place.federation))


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
        messages.success(request, f"{place.organisation} was not let in, and reads why.")
    return redirect(_address(place.federation))


@require_POST
@login_required
def leave(request: HttpRequest, participation_id: UUID) -> HttpResponse:
    place = _place(request, participation_id)
    with told(request):
        services.leave(
            user=person_of(request),
            participation_id=place.pk,
            reason=reason_in(request.POST),
        )
        messages.success(request, f"{place.organisation} has left {place.federation}.")
    return redirect("federations:list")


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
        messages.success(request, f"Saved for {place.organisation}, from the next run on.")
    return redirect(_address(place.federation))


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
        messages.success(request, f"Saved for {place.organisation}, for the cards to come.")
    return redirect(_address(place.federation))


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
        messages.success(request, f"Signed for {place.organisation}; it holds from now on.")
    return redirect(_address(place.federation))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def describe(request: HttpRequest, slug: str) -> HttpResponse:
    """What the federation's models are for, and for what not; the lead's people write it."""
    user = person_of(request)
    found = _visible(user, slug)
    form = DescriptionForm(request.POST or None, instance=found)
    with refusals_on(form):
        selectors.require_place(user, found.pk, Permission.STEER_FEDERATIONS)
    if form.is_valid():
        with refusals_on(form):
            services.describe_federation(user=user, federation_id=found.pk, **form.cleaned_data)
            messages.success(request, "Saved, for the cards of the versions to come.")
            return redirect(_address(found))
    return render(request, "federations/describe.html", {"federation": found, "form": form})


def _visible(user: User, slug: str) -> Federation:
    visible = selectors.federations_visible_to(user).select_related("base_model")
    return get_object_or_404(visible, slug=slug)


def _place(request: HttpRequest, participation_id: UUID) -> Participation:
    places = selectors.participations_visible_to(person_of(request))
    return get_object_or_404(places, pk=participation_id)


def _address(found: Federation) -> str:
    return reverse("federations:detail", args=[found.slug])
