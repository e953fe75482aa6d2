"""Founding a federation in steps. What was entered waits in the session, so going back keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.views.decorators.http import require_http_methods

from hub.accounts.models import User
from hub.accounts.selectors import person_of
from hub.common.pages import redirect_once, refusals_on
from hub.federations import services
from hub.federations.charters.diffing import difference
from hub.federations.charters.pages import address
from hub.federations.charters.policywords import rules_in
from hub.federations.charters.wizardforms import (
    AboutForm,
    BaseForm,
    CharterForm,
    RulesForm,
    SealForm,
    charter_template,
)
from hub.organisations.models import Organisation
from hub.organisations.permissions import Permission
from hub.organisations.selectors import organisations_where

KEPT: Final = "founding"  # in the session
STEPS: Final = {
    "about": _noop("Name and purpose"),
    "base": _noop("Base model"),
    "charter": _noop("Charter"),
    "policy": _noop("Policy"),
    "review": _noop("Review and sign"),
}
NAMES: Final = tuple(STEPS)


@dataclass
class Founding:
    """What somebody has entered so far, and what it makes together."""

    user: User
    kept: dict[str, str]  # by step, what was sent, as a query string

    def form(self, step: str, data: QueryDict | None = None) -> forms.Form:
        """The step's form: sent with `data`, or as it was left."""
        return self._of(step, data) if data is not None else self._of(step, None, self._left(step))

    def checked(self, step: str) -> Any:
        """The step's form with what was kept, checked again."""
        return self._of(step, QueryDict(self.kept.get(step, "")))

    def _of(
        self, step: str, data: QueryDict | None, initial: dict[str, Any] | None = None
    ) -> forms.Form:
        if step == "about":
            return AboutForm(data, initial=initial, user=self.user)
        if step == "base":
            return BaseForm(data, initial=initial, organisation=self.organisation)
        if step == "charter":
            return CharterForm(data, initial=initial)
        return RulesForm(data, initial=initial)

    def _left(self, step: str) -> dict[str, Any]:
        """What the fields held when the step was left, right or wrong."""
        if step not in self.kept:
            return {}
        data, fields = QueryDict(self.kept[step]), self._of(step, None).fields
        return {
            name: field.widget.value_from_datadict(data, {}, name) for name, field in fields.items()
        }

    @cached_property
    def organisation(self) -> Organisation | None:
        about: Any = self.checked("about")
        return about.cleaned_data["organisation"] if about.is_valid() else None

    @property
    def first_open(self) -> str | None:
        """The first step that is not done; None: all are."""
        return next((step for step in NAMES[:-1] if not self.checked(step).is_valid()), None)

    def fields(self) -> dict[str, Any]:
        """What `create_federation` takes, once all steps are done."""
        forms_ = {step: self.checked(step) for step in NAMES[:-1]}
        for form in forms_.values():
            form.is_valid()
        about, base = forms_["about"].cleaned_data, forms_["base"].cleaned_data
        return {
            "organisation_id": about["organisation"].pk,
            "name": about["name"],
            "purpose": about["purpose"],
            "base_model_id": base["base_model"].pk,
            "licence_digest": base["licence_digest"],
            "charter": forms_["charter"].cleaned_data["charter"],
            **forms_["policy"].agreed(),
        }


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def new(request: HttpRequest, step: str = "about") -> HttpResponse:
    """One step; sent with `back`, the one before, with everything as it was left."""
    if step not in STEPS:
        raise Http404("no such step")
    user = person_of(request)
    founding = Founding(user, request.session.get(KEPT, {}))
    if not organisations_where(user, Permission.FOUND_FEDERATIONS).exists():
        return render(request, "federations/wizard/nobody.html", {})
    if step == "review":
        return _review(request, founding)
    if request.method != "POST":
        return _shown(request, founding, step, founding.form(step))
    _keep(request, founding, step)
    if "back" in request.POST:
        return redirect(_step(NAMES[max(0, NAMES.index(step) - 1)]))
    form = founding.form(step, request.POST)
    if not form.is_valid() or "preview" in request.POST:
        return _shown(request, founding, step, form)
    return redirect(_step(NAMES[NAMES.index(step) + 1]))


def _keep(request: HttpRequest, founding: Founding, step: str) -> None:
    sent = request.POST.copy()
    for name in ("csrfmiddlewaretoken", "back", "preview"):
        sent.pop(name, None)
    founding.kept[step] = sent.urlencode()
    request.session[KEPT] = founding.kept


def _shown(request: HttpRequest, founding: Founding, step: str, form: forms.Form) -> HttpResponse:
    context = {"form": form, "step": step, "steps": _steps(step), "founding": founding}
    if step == "base":
        chosen: Any = form.fields["base_model"]
        context["licences"] = list(chosen.queryset.filter(must_accept=True))
    if step == "charter":
        context |= _preview(form)
    return render(request, f"federations/wizard/{step}.html", context)


def _preview(form: forms.Form) -> dict[str, Any]:
    """The text as it will be read, and what it changed in the template."""
    is_sent = form.is_bound and form.is_valid()
    text = form.cleaned_data["charter"] if is_sent else str(form["charter"].value() or "")
    text = text.replace("\r\n", "\n").strip()
    return {"preview": text, "changes": difference(charter_template(), text), "is_sent": is_sent}


def _review(request: HttpRequest, founding: Founding) -> HttpResponse:
    """Everything once more, and the signature."""
    form = SealForm(request.POST or None)
    if request.method == "POST" and "back" in request.POST:
        return redirect(_step("policy"))
    if form.is_valid() and KEPT not in request.session:  # sent before: it goes where that went
        return redirect_once(request, form, lambda: reverse("federations:list"))
    if unfinished := founding.first_open:
        messages.warning(request, _("This step is to be finished first."))
        return redirect(_step(unfinished))
    fields = founding.fields()
    if form.is_valid():
        with refusals_on(form):
            answer = redirect_once(request, form, lambda: _found(founding.user, fields))
            request.session.pop(KEPT, None)
            return answer
    context = {
        "form": form,
        "step": "review",
        "steps": _steps("review"),
        "fields": fields,
        "about": founding.checked("about"),
        "organisation": founding.organisation,
        "base": _base_of(founding),
        "digest": sha256(fields["charter"].encode()).hexdigest(),
        "rules": list(
            rules_in(
                fields["policy"],
                is_listed=fields["is_listed"],
                largest_update_bytes=fields["largest_update_bytes"],
            )
        ),
    }
    return render(request, "federations/wizard/review.html", context)


def _base_of(founding: Founding) -> Any:
    form = founding.checked("base")
    form.is_valid()
    return form.cleaned_data["base_model"]


def _found(user: User, fields: dict[str, Any]) -> str:
    return address(services.create_federation(user=user, **fields))


def _step(name: str) -> str:
    return reverse("federations:new", args=[] if name == "about" else [name])


def _steps(present: str) -> list[dict[str, Any]]:
    here = NAMES.index(present)
    return [
        {"name": name, "label": _(label), "href": _step(name), "is_done": number < here}
        | {"is_present": number == here, "number": number + 1}
        for number, (name, label) in enumerate(STEPS.items())
    ]
