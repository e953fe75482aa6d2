"""The page on which a federation's lead invites organisations."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods

from hub.accounts.selectors import person_of
from hub.common.api.limits import Limit
from hub.common.pages import refusals_on
from hub.common.refusals import told
from hub.federations.inviting import invitations_of, invite
from hub.federations.models import Standing
from hub.federations.selectors import federations_visible_to

SHOWN = 25
OFFERED = [
    (Standing.CONTRIBUTOR.value, _lazy("Contributor: trains, and votes")),
    (Standing.OBSERVER.value, _lazy("Observer: sees, and gets no tasks")),
]


class InvitationForm(forms.Form):
    email = forms.EmailField(
        label=_lazy("E-mail address"),
        max_length=254,
        help_text=_lazy("Of somebody who can sign for the organisation."),
    )
    standing = forms.ChoiceField(label=_lazy("As"), choices=OFFERED, initial=Standing.CONTRIBUTOR)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def invitations(request: HttpRequest, slug: str) -> HttpResponse:
    """Whom the federation has invited; posted to, it invites another organisation."""
    user = person_of(request)
    found = get_object_or_404(federations_visible_to(user), slug=slug)
    with told(request):
        held = invitations_of(user, found.pk)
    form = InvitationForm(request.POST or None)
    if form.is_valid():
        with refusals_on(form):
            Limit("invitations").spend(str(user.pk))
            made = invite(user=user, federation_id=found.pk, **form.cleaned_data)
            messages.success(
                request, _("A link is on its way to %(email)s.") % {"email": made.email}
            )
            return redirect("federations:invitations", slug)
    page = Paginator(held, SHOWN).get_page(request.GET.get("page"))
    context = {"federation": found, "page": page, "form": form}
    return render(request, "federations/invitations.html", context)
