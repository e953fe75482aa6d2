"""Pages of organisations: register one, see it, let its people in."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.api.limits import Limit
from hub.common.pages import redirect_once, refusals_on
from hub.common.refusals import told
from hub.organisations import selectors, services
from hub.organisations.errors import PersonUnknown
from hub.organisations.forms import MemberForm, OrganisationForm
from hub.organisations.models import Membership, Organisation
from hub.organisations.permissions import GIVEN_ROLES, Permission
from hub.organisations.roles import matrix


@require_safe
@login_required
def organisations(request: HttpRequest) -> HttpResponse:
    places = selectors.memberships_of(person_of(request))
    return render(request, "organisations/list.html", {"places": places})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def register(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    form = OrganisationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            return redirect_once(request, form, lambda: _register(user, form))
    return render(request, "organisations/register.html", {"form": form})


def _register(user: User, form: OrganisationForm) -> str:
    return _address(services.register_organisation(user=user, **form.cleaned_data))


@require_safe
@login_required
def organisation(request: HttpRequest, slug: str) -> HttpResponse:
    return _shown(request, _visible(request, slug), MemberForm())


def _shown(request: HttpRequest, found: Organisation, form: MemberForm) -> HttpResponse:
    members = list(selectors.members_of(found))
    own = next((place for place in members if place.user_id == request.user.pk), None)
    context = {
        "organisation": found,
        "members": members,
        "own": own,
        "may_manage": own is not None and own.may(Permission.MANAGE_PEOPLE),
        "may_enrol": own is not None and own.may(Permission.MANAGE_AGENTS),
        "agents": selectors.sightings(found.agents.order_by("name")),
        # Participations belong to a higher app: only the database follows this arrow.
        "places": found.participations.select_related("federation").order_by("federation__name"),
        "history": selectors.history_of(found),
        "roles": GIVEN_ROLES,
        "matrix": matrix(),
        "form": form,
    }
    return render(request, "organisations/detail.html", context)


@require_POST
@login_required
def add_member(request: HttpRequest, slug: str) -> HttpResponse:
    """Give somebody a place, or another role in the one they have."""
    found = _visible(request, slug)
    form = MemberForm(request.POST)
    if form.is_valid():
        with refusals_on(form):
            place = _add(person_of(request), found, form)
            messages.success(request, f"{place.user} is {place.get_role_display().lower()} now.")
            return redirect(f"{_address(found)}#people")
    return _shown(request, found, form)


def _add(user: User, found: Organisation, form: MemberForm) -> Membership:
    try:
        return services.add_member(organisation_id=found.pk, user=user, **form.cleaned_data)
    except PersonUnknown:
        Limit("members").spend(str(user.pk))  # addresses are not to be guessed
        raise


@require_POST
@login_required
def remove_member(request: HttpRequest, slug: str, user_id: UUID) -> HttpResponse:
    """Take somebody's place away; one's own, too."""
    found = _visible(request, slug)
    user = person_of(request)
    with told(request):
        services.remove_member(organisation_id=found.pk, user_id=user_id, user=user)
        messages.success(request, "Removed. It acts on their next request.")
    has_left = not selectors.organisations_visible_to(user).filter(pk=found.pk).exists()
    return redirect("organisations:list") if has_left else redirect(_address(found))


def _visible(request: HttpRequest, slug: str) -> Organisation:
    return get_object_or_404(selectors.organisations_visible_to(person_of(request)), slug=slug)


def _address(found: Organisation) -> str:
    return reverse("organisations:detail", args=[found.slug])
