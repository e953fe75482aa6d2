"""What members decide about runs: that a drafted one start, above what one may spend alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from hub.accounts.models import User
from hub.common.actors import Actor
from hub.common.errors import IllegalTransition, Invalid
from hub.federations.models import Federation, Proposal
from hub.federations.proposals.forms import PlainForm
from hub.federations.proposals.kinds import Kind, register
from hub.runs.models import Run, RunState
from hub.runs.services.lifecycle import begin
from hub.runs.services.locks import lock_run


class DraftForm(PlainForm):
    """One of the federation's drafted runs."""

    run = forms.ModelChoiceField(Run.objects.none(), label=_lazy("Run"), empty_label=None)

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        field: Any = self.fields["run"]
        field.queryset = self.federation.runs.filter(state=RunState.DRAFT).order_by("-number")
        field.label_from_instance = lambda run: run.name

    def terms(self) -> dict[str, Any]:
        return {"run": str(self.cleaned_data["run"].pk)}


def _checked(federation: Federation, terms: Mapping[str, Any], _by: User) -> dict[str, Any]:
    """A draft, with what it would spend: its plan cannot change any more."""
    try:
        wanted = UUID(str(terms.get("run", "")))
    except ValueError as wrong:
        raise Invalid(_("Name the run by its identifier.")) from wrong
    found: Run | None = federation.runs.filter(pk=wanted).first()
    if found is None:
        raise Invalid(_("There is no such run in this federation."))
    _require_draft(found)
    return {
        "run": str(found.pk),
        "name": found.name,
        "plan_digest": found.plan_digest,
        "credits": found.typed_plan.rewards.budget,
    }


def _start(proposal: Proposal, actor: Actor) -> None:
    run = lock_run(UUID(proposal.terms["run"]))
    _require_draft(run)
    begin(run, actor=actor)


def _require_draft(run: Run) -> None:
    if run.state != RunState.DRAFT:
        raise IllegalTransition(
            _("%(name)s is %(state)s.") % {"name": run.name, "state": run.get_state_display()}
        )


register(
    Kind(
        name="run",
        label=_lazy("Start a run"),
        hint=_lazy("A draft that splits more credits than a run may without a vote."),
        checked=_checked,
        words=lambda proposal: _("start the run '%(name)s'") % {"name": proposal.terms["name"]},
        apply=_start,
        template="runs/parts/proposed_run.html",
        form=DraftForm,
    )
)
