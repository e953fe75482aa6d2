"""Pages of an organisation's people and of its roles: who acts for it, and who may do what."""

from __future__ import annotations

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from hub.accounts.factors import recently_authenticated
from hub.accounts.selectors import person_of
from hub.common.api.limits import Limit
from hub.common.forms import sent
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.common.templatetags.foedus import midsentence
from hub.organisations import selectors, services
from hub.organisations.forms import GivenRoleForm, OwnRoleForm, PersonForm
from hub.organisations.models import CustomRole, Organisation
from hub.organisations.pages import place_in, visible
from hub.organisations.permissions import Permission
from hub.organisations.roles import columns, matrix

SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def people(request: HttpRequest, slug: str) -> HttpResponse:
    """Who acts for the organisation and who is invited; posted to, it invites somebody."""
    found, user = visible(request, slug), person_of(request)
    if request.method == "POST":
        with told(request):
            selectors.require_permission(user, found.pk, Permission.MANAGE_PEOPLE)
    form = PersonForm(request.POST or None, organisation=found)
    if form.is_valid():
        with refusals_on(form):
            Limit("invitations").spend(str(user.pk))
            made = services.invite_person(
                user=user,
                organisation_id=found.pk,
                email=form.cleaned_data["email"],
                **form.cleaned_data["role"],
            )
            messages.success(
                request, _("A link is on its way to %(email)s.") % {"email": made.email}
            )
            return redirect("organisations:people", slug)
    return _people_shown(request, found, form)


def _people_shown(request: HttpRequest, found: Organisation, form: PersonForm) -> HttpResponse:
    own = place_in(request, found)
    may_manage = own is not None and own.may(Permission.MANAGE_PEOPLE)
    members = Paginator(selectors.members_of(found), SHOWN).get_page(request.GET.get("page"))
    invited = Paginator(selectors.people_invited(found), SHOWN)
    context = {
        "organisation": found,
        "tab": "people",
        "own": own,
        "members": members,
        "may_manage": may_manage,
        "invited": invited.get_page(request.GET.get("invited")) if may_manage else None,
        "form": form,
        "roles": form.fields["role"].choices,  # type: ignore[attr-defined]
    }
    return render(request, "organisations/people.html", context)


@require_POST
@login_required
@recently_authenticated
def set_role(request: HttpRequest, slug: str, user_id: UUID) -> HttpResponse:
    found = visible(request, slug)
    with told(request):
        chosen = sent(GivenRoleForm(request.POST, organisation=found), "role")
        place = services.set_role(
            organisation_id=found.pk, user_id=user_id, user=person_of(request), **chosen
        )
        messages.success(
            request,
            _("%(user)s is %(lower)s now.")
            % {"user": place.user, "lower": midsentence(place.role_name)},
        )
    return redirect("organisations:people", slug)


@require_POST
@login_required
def remove_member(request: HttpRequest, slug: str, user_id: UUID) -> HttpResponse:
    """Take somebody's place away; one's own, too."""
    found = visible(request, slug)
    user = person_of(request)
    with told(request):
        services.remove_member(organisation_id=found.pk, user_id=user_id, user=user)
        messages.success(request, _("Removed. It acts on their next request."))
    has_left = not selectors.organisations_visible_to(user).filter(pk=found.pk).exists()
    return redirect("organisations:list") if has_left else redirect("organisations:people", slug)


@require_safe
@login_required
def roles(request: HttpRequest, slug: str) -> HttpResponse:
    """Who may do what: the roles that every organisation has, and its own."""
    found = visible(request, slug)
    own = place_in(request, found)
    shown = columns(selectors.roles_of(found))
    context = {
        "organisation": found,
        "tab": "roles",
        "own": own,
        "columns": shown,
        "matrix": matrix(shown),
        "may_make": own is not None and own.may(Permission.MANAGE_ROLES),
    }
    return render(request, "organisations/roles.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@recently_authenticated
def new_role(request: HttpRequest, slug: str) -> HttpResponse:
    found = _making(request, slug)
    form = OwnRoleForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            made = services.create_role(
                organisation_id=found.pk, user=person_of(request), **form.cleaned_data
            )
            messages.success(
                request, _("The role %(name)s can be given now.") % {"name": made.name}
            )
            return redirect("organisations:roles", slug)
    return _role_shown(request, found, form)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@recently_authenticated
def role(request: HttpRequest, slug: str, role_id: UUID) -> HttpResponse:
    """Change a role of the organisation's own."""
    found = _making(request, slug)
    held = get_object_or_404(found.custom_roles, pk=role_id)
    initial = {"name": held.name, "permissions": held.permissions}
    form = OwnRoleForm(request.POST or None, initial=initial)
    if form.is_valid():
        with refusals_on(form):
            services.change_role(role_id=held.pk, user=person_of(request), **form.cleaned_data)
            messages.success(request, _("Saved. It acts on the next request of all who hold it."))
            return redirect("organisations:roles", slug)
    return _role_shown(request, found, form, held)


@require_POST
@login_required
def delete_role(request: HttpRequest, slug: str, role_id: UUID) -> HttpResponse:
    found = visible(request, slug)
    held = get_object_or_404(found.custom_roles, pk=role_id)
    then = reverse("organisations:role", args=[slug, role_id])
    with told(request):
        services.delete_role(role_id=held.pk, user=person_of(request))
        messages.success(request, _("The role %(name)s is gone.") % {"name": held.name})
        then = reverse("organisations:roles", args=[slug])
    return redirect(then)


def _making(request: HttpRequest, slug: str) -> Organisation:
    """The organisation, of whom may make its roles; else 404 or 403."""
    found = visible(request, slug)
    with told(request):
        selectors.require_permission(person_of(request), found.pk, Permission.MANAGE_ROLES)
    return found


def _role_shown(
    request: HttpRequest,
    found: Organisation,
    form: OwnRoleForm,
    held: CustomRole | None = None,
) -> HttpResponse:
    context = {"organisation": found, "form": form, "role": held}
    return render(request, "organisations/role.html", context)
