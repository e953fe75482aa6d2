"""The directory: one's own federations, and those that one could join."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy
from django.views.decorators.http import require_safe

from hub.accounts.selectors import person_of
from hub.common.forms import LineField
from hub.federations.charters.policywords import JOINING, small
from hub.federations.models import Federation, Participation
from hub.federations.selectors import federations_to_join, places_of
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

OWN_SHOWN, SHOWN = 12, 24
LONGEST_SEARCH = 100


def rule_of(name: str) -> str:
    """How one joins, in a word or two."""
    return _(JOINING[name]).partition(":")[0]


class DirectoryForm(forms.Form):
    """What somebody looks for."""

    q = LineField(max_length=LONGEST_SEARCH, required=False, label=_lazy("Search"))
    join = forms.ChoiceField(
        required=False,
        label=_lazy("How one joins"),
    )
    base = forms.ChoiceField(required=False, label=_lazy("Base model"))

    def __init__(self, *args: Any, listed: QuerySet[Federation], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rule: Any = self.fields["join"]
        rule.choices = [("", _("In any way")), *((name, rule_of(name)) for name in JOINING)]
        bases = listed.order_by("base_model__name").values_list(
            "base_model__slug", "base_model__name"
        )
        field: Any = self.fields["base"]
        field.choices = [("", _("Any base model")), *bases.distinct()]

    def found(self, listed: QuerySet[Federation]) -> QuerySet[Federation]:
        if not self.is_valid():
            return listed
        for word in self.cleaned_data["q"].split():
            listed = listed.filter(
                Q(name__icontains=word)
                | Q(purpose__icontains=word)
                | Q(base_model__name__icontains=word)
                | Q(lead__icontains=word)
            )
        if join := self.cleaned_data["join"]:
            listed = listed.filter(policy__join=join)
        if base := self.cleaned_data["base"]:
            listed = listed.filter(base_model__slug=base)
        return listed


@require_safe
@login_required
def federations(request: HttpRequest) -> HttpResponse:
    """The person's own, and those that their organisations could join, by what they look for."""
    user = person_of(request)
    listed = federations_to_join(user)
    form = DirectoryForm(request.GET or None, listed=listed)
    page = Paginator(form.found(listed), SHOWN).get_page(request.GET.get("page"))
    context = {
        "ours": _own(places_of(user), request.GET.get("own")),
        "form": form,
        "page": page,
        "rows": [(one, small(rule_of(one.typed_policy.join))) for one in page],
        "is_searching": any(request.GET.get(name) for name in ("q", "join", "base")),
        "may_found": organisations_where(user, Permission.FOUND_FEDERATIONS).exists(),
    }
    return render(request, "federations/list.html", context)


def _own(places: QuerySet[Participation], page: str | None) -> Any:
    return Paginator(places, OWN_SHOWN).get_page(page)
