"""The page that says who acts for an organisation without a second factor, and demands one."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods

from hub.accounts.factors import has_second_factor, recently_authenticated
from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.refusals import told
from hub.organisations import selectors
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.services.safety import require_second_factor

PEOPLE_SHOWN = 50


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
@recently_authenticated
def safety(request: HttpRequest, slug: str) -> HttpResponse:
    """Who has no second factor; who may change the organisation demands one of all."""
    user = person_of(request)
    found = get_object_or_404(selectors.organisations_of(user), slug=slug)
    if request.method == "POST":
        return _demand(request, user, found)
    place = selectors.require_permission(user, found.pk, Permission.SEE_ORGANISATION)
    without = selectors.members_of(found).filter(user__authenticator=None)
    context = {
        "organisation": found,
        "people": found.memberships.count(),
        "page": Paginator(without, PEOPLE_SHOWN).get_page(request.GET.get("page")),
        "may_edit": place.may(Permission.EDIT_ORGANISATION),
        "own_factor": has_second_factor(user),
    }
    return render(request, "organisations/safety.html", context)


def _demand(request: HttpRequest, user: User, found: Organisation) -> HttpResponse:
    required = request.POST.get("required") == "yes"
    with told(request):
        require_second_factor(organisation_id=found.pk, required=required, user=user)
        messages.success(request, _("Saved. It acts on everybody's next request."))
    return redirect("organisations:safety", found.slug)
