"""What a new run begins with: the last run of the federation, or what usually works."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db.models import Q, Subquery
from django.http import QueryDict
from django.utils.translation import gettext as _

from hub.accounts.models import User
from hub.catalogue.models import ModelVersion, VersionState
from hub.catalogue.selectors import line_of
from hub.federations.models import Federation, Participation
from hub.federations.places import Place, places_in
from hub.runs.departures import Departure
from hub.runs.forecasts import Forecast, forecast, past_of
from hub.runs.forms import RunForm, misfits
from hub.runs.models import Purpose, Run
from hub.runs.planforms import ADAPTERS, TASKS, plan_from

WRITERS = ("CausalLM", "LMHead")  # in the names of architectures that continue texts
# The linear layers that usually get an adapter, by what is in an architecture's name.
TARGETS: Mapping[str, Sequence[str]] = {
    "GPT2": ("c_attn",),
    "GPTNeoX": ("query_key_value",),
    "Bloom": ("query_key_value",),
    "DistilBert": ("q_lin", "v_lin"),
    "Bert": ("query", "value"),
    "Roberta": ("query", "value"),
    "Electra": ("query", "value"),
}
USUAL_TARGETS = ("q_proj", "v_proj")
USUAL_QUORUM = 2
VERSIONS_OFFERED = 20


class Draft:
    """A run that one person is about to make; each thing is read when it is first asked for."""

    def __init__(self, federation: Federation, user: User, *, asked: QueryDict) -> None:
        """`asked` may name another `task` or `adapter`, or a run to begin from (`like`).

        It may also name a place to do `without`: the organisation does not train, and the run
        starts from before anything of it.
        """
        self.federation = federation
        self.user = user
        self.asked = asked

    @cached_property
    def places(self) -> list[Place]:
        """Who can train."""
        every = places_in(self.federation.pk, self.user).values()
        return [place for place in every if place.trains]

    @cached_property
    def without(self) -> Participation | None:
        """The organisation whose contribution the run is to be free of."""
        try:
            found = self.federation.participations.select_related("organisation", "federation")
            return found.filter(pk=self.asked.get("without", "")).first()
        except ValidationError:
            return None

    @property
    def also(self) -> str:
        """What is asked besides task and adapter, as the end of an address."""
        return f"&without={self.without.pk}" if self.without else ""

    @cached_property
    def latest(self) -> Run | None:
        return self.federation.runs.order_by("-number").first()

    @cached_property
    def model(self) -> Run | None:
        """The run whose plan the form begins with: the one that was asked for, or the last."""
        runs = self.federation.runs.filter(purpose=Purpose.FEDERATED).order_by("-number")
        number = self.asked.get("like", "")
        found = runs.filter(number=int(number[:9])).first() if number.isdecimal() else runs.first()
        wanted = self.asked.get("task", "")
        return found if found and wanted in {"", found.plan["task"]["type"]} else None

    @cached_property
    def task(self) -> str:
        if self.model is not None:
            return str(self.model.plan["task"]["type"])
        wanted = self.asked.get("task", "")
        return wanted if wanted in TASKS else self._usual_task()

    @cached_property
    def adapter(self) -> str:
        before = self.model.plan["adapter"].get("type") if self.model else None
        wanted = self.asked.get("adapter", "")
        return wanted if wanted in ADAPTERS else before or "lora"

    @property
    def adapters(self) -> Mapping[str, str]:
        """What can be trained, in the reader's words."""
        return {name: _(words) for name, words in ADAPTERS.items()}

    @property
    def tasks(self) -> Mapping[str, str]:
        return {name: _(words) for name, words in TASKS.items()}

    @cached_property
    def versions(self) -> list[ModelVersion]:
        """What a run can go on from: what is released, whatever its age, and the latest."""
        is_released = Q(state=VersionState.RELEASED)
        line = line_of(self.federation)
        newest = line.values("number")[:1]
        recent = Q(number__gt=Subquery(newest) - VERSIONS_OFFERED)
        is_clean = Q(pk=self._clean.pk if self._clean else None)
        return list(line.filter(is_released | recent | is_clean))

    @cached_property
    def _clean(self) -> ModelVersion | None:
        """The newest version that holds nothing of the organisation to do without."""
        return Departure(self.without).clean if self.without else None

    @property
    def _released(self) -> ModelVersion | None:
        return next((v for v in self.versions if v.state == VersionState.RELEASED), None)

    def form(self, data: QueryDict | None) -> RunForm:
        trainers = self._trainers()
        self._form = RunForm(
            data,
            places=self.places,
            versions=self.versions,
            task=self.task,
            adapter=self.adapter,
            given=self._given(),
            initial={"name": self._name(), **({"trainers": trainers} if trainers else {})},
        )
        self._propose_parent(self._form)
        return self._form

    def _propose_parent(self, form: RunForm) -> None:
        """The released version or a clean one, where the plan that we begin with has its shape."""
        plan = None if form.is_bound else plan_from(form)
        proposed = self._clean if self.without else self._released
        if proposed and plan and not misfits(proposed, plan):
            form.initial["parent"] = proposed.pk

    @property
    def forecast(self) -> Forecast | None:
        """What the run would cost as the form stands; None while its plan is not valid."""
        plan, chosen = plan_from(self._form), self._form.chosen_trainers
        if plan is None:
            return None
        places = [place for place in self.places if place.id in chosen]
        return forecast(plan, places, past_of(self.federation.pk))

    def _trainers(self) -> list[UUID]:
        """Those of the last plan, and whoever makes this one: nobody leaves themselves out."""
        before = set(self.model.trainers) if self.model else set()
        chosen = [p.id for p in self.places if p.id in before or (before and p.is_own)]
        if self.without is None:
            return chosen
        every = chosen or [place.id for place in self.places]
        return [place for place in every if place != self.without.pk]

    def _given(self) -> Mapping[str, Any]:
        given = self.model.plan if self.model else self._usual_plan()
        if self.adapter == "lora":
            return given
        return {**given, "aggregation": {**given.get("aggregation", {}), "strategy": "fedavg"}}

    def _name(self) -> str:
        name = f"Run {self.latest.number + 1 if self.latest else 1}"
        return f"{name} without {self.without.organisation.name}"[:120] if self.without else name

    def _usual_task(self) -> str:
        architecture = self.federation.base_model.architecture
        is_writer = any(word in architecture for word in WRITERS)
        return "causal_lm" if is_writer else "sequence_classification"

    def _usual_plan(self) -> Mapping[str, Any]:
        architecture = self.federation.base_model.architecture
        targets = next((t for name, t in TARGETS.items() if name in architecture), USUAL_TARGETS)
        return {
            "adapter": {"targets": targets},
            "rounds": {"quorum": max(1, min(USUAL_QUORUM, len(self.places)))},
        }
