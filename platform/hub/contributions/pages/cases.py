"""Pages of cases: what was noticed about updates, and what people decided."""

from __future__ import annotations

from uuid import UUID

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from hub.accounts.selectors import person_of
from hub.common.refusals import told
from hub.contributions.cases import words
from hub.contributions.cases.selectors import cases_visible_to, may_decide, own_participations
from hub.contributions.cases.services import MOST_LETTERS, answer_case, decide_case
from hub.contributions.models import Case, CaseState
from hub.federations.places import places_in
from hub.federations.selectors import federations_of

CASES_SHOWN = 25


class DecisionForm(forms.Form):
    decision = forms.ChoiceField(choices=[("uphold", "Uphold"), ("dismiss", "Dismiss")])
    reason = forms.CharField(max_length=MOST_LETTERS)


class AnswerForm(forms.Form):
    text = forms.CharField(max_length=MOST_LETTERS)


@require_safe
@login_required
def cases(request: HttpRequest, slug: str) -> HttpResponse:
    user = person_of(request)
    federation = get_object_or_404(federations_of(user), slug=slug)
    found = cases_visible_to(user).filter(federation=federation)
    page = Paginator(found, CASES_SHOWN).get_page(request.GET.get("page"))
    places = places_in(federation.pk, user)
    context = {
        "federation": federation,
        "page": page,
        "cases": [
            (one, words.telling_of(one), [places[pk] for pk in one.participations if pk in places])
            for one in page
        ],
    }
    return render(request, "contributions/cases.html", context)


@require_safe
@login_required
def case(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    user = person_of(request)
    found = get_object_or_404(cases_visible_to(user), pk=pk, federation__slug=slug)
    places = places_in(found.federation_id, user)
    is_open = found.state == CaseState.OPEN
    context = {
        "federation": found.federation,
        "case": found,
        "telling": words.telling_of(found),
        "follows": words.follows(found),
        "about": [places[one] for one in found.participations if one in places],
        "titles": words.titles_of(found),
        "rows": words.rows_of(found),
        "chart": words.chart_of(found),
        "answers": [(one, places.get(one.participation_id)) for one in found.answers.all()],
        "may_decide": is_open and may_decide(user, found),
        "may_answer": is_open and own_participations(user, found).exists(),
    }
    return render(request, "contributions/case.html", context)


@require_POST
@login_required
def decide(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    form = DecisionForm(request.POST)
    found = _visible(request, slug, pk)
    if not form.is_valid():
        said = _("Say why, in at most %(most)s letters.") % {"most": f"{MOST_LETTERS:,}"}
        messages.error(request, said)
        return redirect("contributions:case", slug, found.pk)
    uphold = form.cleaned_data["decision"] == "uphold"
    with told(request):
        decide_case(
            user=person_of(request), case_id=pk, uphold=uphold, reason=form.cleaned_data["reason"]
        )
        messages.success(
            request, _("The case is upheld.") if uphold else _("The case is dismissed.")
        )
    return redirect("contributions:case", slug, found.pk)


@require_POST
@login_required
def answer(request: HttpRequest, slug: str, pk: UUID) -> HttpResponse:
    form = AnswerForm(request.POST)
    found = _visible(request, slug, pk)
    if not form.is_valid():
        said = _("Write something, in at most %(most)s letters.") % {"most": f"{MOST_LETTERS:,}"}
        messages.error(request, said)
        return redirect("contributions:case", slug, found.pk)
    with told(request):
        answer_case(user=person_of(request), case_id=pk, text=form.cleaned_data["text"])
        messages.success(request, _("Your answer stands beside the case."))
    return redirect("contributions:case", slug, found.pk)


def _visible(request: HttpRequest, slug: str, pk: UUID) -> Case:
    return get_object_or_404(cases_visible_to(person_of(request)), pk=pk, federation__slug=slug)
