"""Pages of organisations: one's own, each with all that belongs to it, and its profile."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_safe

from hub.accounts.selectors import person_of
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.organisations import selectors, services
from hub.organisations.forms import ProfileForm
from hub.organisations.models import Membership, Organisation, OrganisationState
from hub.organisations.permissions import Permission

PEOPLE_SHOWN = 8


@require_safe
@login_required
def organisations(request: HttpRequest) -> HttpResponse:
    user = person_of(request)
    places = selectors.memberships_of(user)
    context = {"places": places, "invited": selectors.invitations_to(user)[:PEOPLE_SHOWN]}
    return render(request, "organisations/list.html", context)


@require_safe
@login_required
def organisation(request: HttpRequest, slug: str) -> HttpResponse:
    found = visible(request, slug)
    own = place_in(request, found)
    members = selectors.members_of(found)
    history = selectors.history_of(found)
    context = {
        "organisation": found,
        "tab": "overview",
        "own": own,
        "members": members[:PEOPLE_SHOWN],
        "people": members.count(),
        "may_enrol": own is not None and own.may(Permission.MANAGE_AGENTS),
        "agents": selectors.sightings(found.agents.order_by("name")),
        # Participations belong to a higher app: only the database follows this arrow.
        "places": found.participations.select_related("federation").order_by("federation__name"),
        "history": history,
        "why": _why(found),
    }
    return render(request, "organisations/detail.html", context)


def _why(found: Organisation) -> str:
    """The operator's reason, where the organisation may not take part."""
    if found.state in {OrganisationState.APPROVED, OrganisationState.PENDING}:
        return ""
    return selectors.reason_of(found)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def edit(request: HttpRequest, slug: str) -> HttpResponse:
    """The organisation's settings: what it says of itself."""
    found, user = visible(request, slug), person_of(request)
    with told(request):
        own = selectors.require_permission(user, found.pk, Permission.EDIT_ORGANISATION)
    names = ("description", "website", "country", "contact_email")
    initial = {name: getattr(found, name) for name in names}
    form = ProfileForm(request.POST or None, initial=initial)
    if form.is_valid():
        with refusals_on(form):
            services.edit_organisation(organisation_id=found.pk, user=user, **form.cleaned_data)
            messages.success(request, _("Saved."))
            return redirect("organisations:settings", slug)
    context = {"organisation": found, "tab": "settings", "own": own, "form": form}
    return render(request, "organisations/settings.html", context)


def visible(request: HttpRequest, slug: str) -> Organisation:
    """The organisation, of its people and of operators; 404 for all others."""
    return get_object_or_404(selectors.organisations_visible_to(person_of(request)), slug=slug)


def place_in(request: HttpRequest, found: Organisation) -> Membership | None:
    """The person's own place there."""
    return selectors.membership_of(person_of(request), found)
