"""What people say about runs: new ones, which of them to see, and what to do with them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy as _lazy

from federation.plan import Plan
from hub.catalogue.models import ModelVersion
from hub.common.forms import LineField, OnceForm
from hub.common.templatetags.foedus import words
from hub.federations.models import Federation
from hub.federations.places import Place
from hub.runs.models import RunState
from hub.runs.planforms import PlanForm

LIVE = "live"
SHAPE = {
    "task": ("type", "labels"),
    "adapter": ("type", "rank", "targets", "dora", "feedforward", "virtual_tokens"),
}


class RunForm(PlanForm, OnceForm):
    """A new run of a federation."""

    name = LineField(
        label=_lazy("Name"),
        max_length=120,
        help_text=_lazy("How people will tell this run from the others."),
    )
    trainers = forms.TypedMultipleChoiceField(
        label=_lazy("Who trains"),
        coerce=UUID,
        widget=forms.CheckboxSelectMultiple,
        help_text=_lazy(
            "Whoever trains, every organisation of the federation measures the result."
        ),
        error_messages={"required": _lazy("Somebody has to train.")},
    )
    parent = forms.TypedChoiceField(
        label=_lazy("Starts from"),
        required=False,
        coerce=UUID,
        empty_value=None,
        help_text=_lazy(
            "A fresh adapter, or a version of this federation that is trained further: the "
            "released one, unless you say otherwise."
        ),
    )

    def __init__(
        self,
        *args: Any,
        places: Sequence[Place],
        versions: Sequence[ModelVersion],
        task: str,
        adapter: str = "lora",
        given: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, task=task, adapter=adapter, given=given, **kwargs)
        self.versions = {version.pk: version for version in versions}
        trainers: Any = self.fields["trainers"]
        trainers.choices = [(place.id, _place_words(place)) for place in places]
        trainers.initial = [place.id for place in places]
        parent: Any = self.fields["parent"]
        fresh = ("", _("A fresh adapter"))
        parent.choices = [fresh, *((v.pk, _version_words(v)) for v in versions)]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        parent = self.versions.get(cleaned.get("parent"))  # type: ignore[arg-type]
        if parent is not None and self.plan is not None:
            self._check_parent(parent, self.plan)
        return cleaned

    @property
    def chosen_trainers(self) -> set[UUID]:
        """As the form stands, sent or not."""
        return set(
            self.cleaned_data.get("trainers", ()) if self.is_bound else self["trainers"].initial
        )

    def service_fields(self) -> dict[str, Any]:
        """What `create_run` takes of a valid form."""
        return {
            "name": self.cleaned_data["name"],
            "plan": self.plan,
            "trainers": self.cleaned_data["trainers"],
            "parent_version_id": self.cleaned_data["parent"],
        }

    def _check_parent(self, parent: ModelVersion, plan: Plan) -> None:
        for name in misfits(parent, plan):
            said = _("%(version)s was trained with other %(setting)s.")
            self.add_error("parent", said % {"version": parent, "setting": name})


def misfits(parent: ModelVersion, plan: Plan) -> list[str]:
    """In what a plan differs: an adapter can only be trained further in the shape that it has."""
    wanted, had = plan.model_dump(mode="json"), parent.plan
    return [
        name
        for part, names in SHAPE.items()
        for name in names
        if wanted[part].get(name) != had.get(part, {}).get(name)
    ]


def _place_words(place: Place) -> str:
    rank = _("rank %(rank)s at most") % {"rank": place.rank} if place.rank else _("any rank")
    if place.is_own:
        return _("%(name)s (%(rank)s, your organisation)") % {"name": place.name, "rank": rank}
    return f"{place.name} ({rank})"


def _version_words(version: ModelVersion) -> str:
    state = "" if version.state == "candidate" else f", {words(version.state)}"
    number = _("Version %(number)s") % {"number": version.number}
    return f"{number}{state}"


class RunFilter(forms.Form):
    """Which runs to show."""

    state = forms.ChoiceField(
        required=False,
        choices=[("", _lazy("In any state")), (LIVE, _lazy("Going on")), *RunState.choices],
        label=_lazy("State"),
    )
    federation = forms.ModelChoiceField(
        Federation.objects.none(),
        required=False,
        to_field_name="slug",
        label=_lazy("Federation"),
        empty_label=_lazy("All of mine"),
    )

    def __init__(self, *args: Any, federations: QuerySet[Federation], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["federation"]
        field.queryset = federations


class VerdictForm(forms.Form):
    """What becomes of an update that was set aside, and why."""

    verdict = forms.ChoiceField(
        choices=[("accept", _lazy("Count it")), ("reject", _lazy("Leave it out"))]
    )
    reason = LineField(max_length=500)
