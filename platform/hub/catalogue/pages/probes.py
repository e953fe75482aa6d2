"""The page of a federation's probe sets: the one in use, a new one, the earlier ones."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.text import format_lazy
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_http_methods, require_safe

from federation.probes import MOST_BYTES, MOST_ROWS
from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.catalogue.blobs.streaming import artifact_response
from hub.catalogue.evaluation.probes import (
    MOST_LICENCE,
    MOST_STATEMENT,
    add_probe,
    probes_visible_to,
)
from hub.catalogue.models import Probe
from hub.common.forms import LineField, ParagraphsField
from hub.common.pages import refusals_on
from hub.federations.models import Federation
from hub.federations.places import places_in
from hub.federations.selectors import federations_of

PROBES_SHOWN = 20


class ProbeForm(forms.Form):
    """A probe set as a person sends it; the service reads it."""

    file = forms.FileField(
        label=_lazy("File of examples"),
        max_length=200,
        help_text=format_lazy(
            _lazy("JSON Lines, at most {examples} examples and {size} MiB."),
            examples=f"{MOST_ROWS:,}",
            size=MOST_BYTES >> 20,
        ),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.ndjson,.json,.txt"}),
    )
    statement = ParagraphsField(
        label=_lazy("Where the examples come from"),
        max_length=MOST_STATEMENT,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_lazy("Who wrote or collected them, and that nobody's private data is in them."),
    )
    licence = LineField(
        label=_lazy("Licence"),
        max_length=MOST_LICENCE,
        help_text=_lazy("Under which all members may use them, such as CC-BY-4.0."),
    )

    def clean_file(self) -> bytes:
        """Its bytes; of one that is too large no more than shows that it is."""
        content: bytes = self.cleaned_data["file"].read(MOST_BYTES + 1)
        return content


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def probes(request: HttpRequest, slug: str) -> HttpResponse:
    """The probe sets of a federation; the lead puts a new one in use here."""
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    form = ProbeForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        with refusals_on(form):
            made = _added(user, federation, form)
            messages.success(
                request,
                _("Probe set %(number)s is used from the next run on.") % {"number": made.number},
            )
            return redirect("catalogue:probes", federation.slug)
    found = probes_visible_to(user).filter(federation=federation)
    page = Paginator(found, PROBES_SHOWN).get_page(request.GET.get("page"))
    context = {
        "nav": "federations",
        "federation": federation,
        "form": form,
        "page": page,
        "probe": page.object_list[0] if page.number == 1 and page.object_list else None,
        "may_add": _acts_for_lead(user, federation),
    }
    return render(request, "catalogue/probes.html", context)


def _added(user: User, federation: Federation, form: ProbeForm) -> Probe:
    given = form.cleaned_data
    return add_probe(
        user=user,
        federation_id=federation.pk,
        content=given["file"],
        statement=given["statement"],
        licence=given["licence"],
    )


def _acts_for_lead(user: User, federation: Federation) -> bool:
    places = places_in(federation.pk, user).values()
    return any(place.is_lead and place.is_own and place.is_active for place in places)


@require_safe
@login_required
def download(request: HttpRequest, pk: UUID) -> HttpResponseBase:
    """The examples, as JSON Lines."""
    found = get_object_or_404(probes_visible_to(person_of(request)), pk=pk)
    name = f"{found.federation.slug}-probe-{found.number}.jsonl"
    return artifact_response(request, found.artifact, filename=name)
