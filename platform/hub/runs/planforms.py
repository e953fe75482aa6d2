"""A form for any plan, made from the plan's own schema; what pydantic refuses, its fields say.

A new field of the plan is on the form the moment it is in the schema: in the section of its part,
among the further settings, unless MAIN names it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

from django import forms
from django.forms.boundfield import BoundField
from pydantic import ValidationError

from federation.plan import Plan

Schema: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]

TASKS: Mapping[str, str] = {
    "sequence_classification": "Classify texts",
    "causal_lm": "Continue texts",
    "chat": "Answer in chats",
    "masked_lm": "Fill in hidden words",
    "image_classification": "Classify images",
}
ADAPTERS: Mapping[str, str] = {
    "lora": "LoRA",
    "ia3": "IA³",
    "prompt_tuning": "A learnt prompt",
    "full": "All weights",
}
SECTIONS: Mapping[str, str] = {
    "task": "What is learnt",
    "adapter": "The adapter",
    "training": "Training at each site",
    "rounds": "Rounds",
    "aggregation": "Aggregation",
    "server": "The step of the server",
    "evaluation": "Evaluation",
    "gates": "Gates before a release",
    "valuation": "Value of contributions",
    "rewards": "Rewards",
    "transfer": "On the way to the hub",
    "seed": "Repeatability",
}
MAIN: frozenset[Path] = frozenset(
    {
        ("task", "labels"),
        ("task", "max_tokens"),
        ("adapter", "rank"),
        ("adapter", "virtual_tokens"),
        ("training", "epochs"),
        ("training", "batch_size"),
        ("training", "learning_rate"),
        ("rounds", "count"),
        ("rounds", "quorum"),
        ("rounds", "deadline_seconds"),
        ("aggregation", "strategy"),
        ("evaluation", "every"),
        ("gates", "below_release_at_most"),
        ("gates", "organisation_below_release_at_most"),
        ("seed",),
    }
)
UNITS: Mapping[str, str] = {
    "deadline_seconds": "seconds",
    "commit_seconds": "seconds",
    "max_tokens": "tokens",
    "virtual_tokens": "tokens",
    "count": "rounds",
    "quorum": "updates",
    "buffer": "updates",
    "batch_size": "examples",
    "max_steps": "steps",
    "budget": "credits",
    "hold_days": "days",
}
CHOICES: Mapping[str, str] = {
    "mean": "mean over the tokens",
    "model": "the model's own head",
    "round": "after every round",
    "last": "after the last round",
    "wait": "wait for a person",
    "leave_out": "close without them",
}
# Where the same value means something else in another field.
CHOICES_OF: Mapping[str, Mapping[str, str]] = {
    "rule": {
        "shares": "none: all count by their shares",
        "krum": "Krum",
        "multi_krum": "Multi-Krum",
        "bulyan": "Bulyan",
        "geometric_median": "geometric median",
        "flame": "FLAME",
        "fltrust": "FLTrust",
    },
    "optimiser": {
        "none": "none: by the combined change",
        "fedavgm": "FedAvgM",
        "diloco": "DiLoCo",
        "fedadagrad": "FedAdagrad",
        "fedadam": "FedAdam",
        "fedyogi": "FedYogi",
        "scaffold": "SCAFFOLD",
        "adamw": "AdamW",
        "sgd": "plain SGD",
    },
    "late": {
        "refuse": "refuse",
        "record": "record without counting",
        "count": "count in a later round",
    },
    "game": {"fixed_weight": "fixed weights"},
    "method": {
        "none": "not measured",
        "shapley": "Shapley value",
        "exact": "Shapley value, exact",
        "guided_permutations": "Shapley value, sampled",
        "leave_one_out": "leave one out",
        "gradient_alignment": "gradient alignment",
        "cgsv": "CGSV",
    },
    "probe": {"public": "the public probe set", "members": "data of the other members"},
    "doubt": {
        "measured": "what was measured decides",
        "block": "block the release",
        "allow": "allow the release",
    },
    "combination": {
        "mean": "mean",
        "median": "median",
        "trimmed_mean": "trimmed mean",
        "near_median": "mean near the median",
    },
}
TEXT_ROWS = 3


@dataclass(frozen=True, slots=True)
class Setting:
    """One field on the page."""

    field: BoundField
    unit: str

    @property
    def is_wide(self) -> bool:
        return isinstance(self.field.field, ListField)


@dataclass(frozen=True, slots=True)
class Section:
    """One part of the plan on the page; `more` is folded away unless something in it is wrong."""

    name: str
    title: str
    text: str
    main: Sequence[Setting]
    more: Sequence[Setting]

    @property
    def is_open(self) -> bool:
        return any(setting.field.errors for setting in self.more)


class ListField(forms.CharField):
    """Several words: one a line, or on one line with commas between."""

    how = "One a line, or with commas between."
    widget = forms.Textarea(attrs={"rows": TEXT_ROWS, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        return value if value is None or isinstance(value, str) else "\n".join(value)

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        text = super().to_python(value) or ""
        parts = text.splitlines() if "\n" in text else text.split(",")
        return [part.strip() for part in parts if part.strip()]


@cache
def plan_schema() -> Schema:
    """Drawn once: it takes as long as a page."""
    return Plan.model_json_schema()


def name_of(path: Path) -> str:
    """The name of a field in the form, such as `rounds-deadline_seconds`."""
    return "-".join(path)


def parts_of(
    schema: Schema, kinds: Mapping[str, str]
) -> Iterator[tuple[str, str, Mapping[Path, Schema]]]:
    """Each section of the form: its name, its explanation, and the schemas of its fields.

    `kinds`: the types of task and adapter.
    """
    for name in SECTIONS:
        part = schema["properties"][name]
        whole = _resolved(schema, part, kinds.get(name, ""))
        if "properties" not in whole:
            yield name, "", {(name,): part}
            continue
        fields: dict[Path, Schema] = {
            (name, field): of_field
            for field, of_field in whole["properties"].items()
            if "const" not in of_field
        }
        yield name, whole.get("description", ""), fields


def _resolved(schema: Schema, part: Schema, kind: str) -> Schema:
    reference = part.get("$ref") or part.get("discriminator", {}).get("mapping", {}).get(kind)
    if reference is None:
        return part
    found: Schema = schema["$defs"][reference.rpartition("/")[2]]
    return found


def choice(field: str, value: str) -> str:
    """One of a few values of a field, in words."""
    return CHOICES_OF.get(field, CHOICES).get(value, value)


def field_of(schema: Schema, name: str = "") -> forms.Field:
    """The Django field for one field of the plan. Bounds are told to browsers, kept by pydantic."""
    wanted, is_required = _without_null(schema)
    about: dict[str, Any] = {
        "label": schema.get("title", ""),
        "help_text": schema.get("description", ""),
        "required": is_required,
        "initial": schema.get("default"),
    }
    if "enum" in wanted:
        choices = [(value, choice(name, value)) for value in wanted["enum"]]
        return forms.ChoiceField(choices=choices, **about)
    if wanted["type"] == "boolean":
        return forms.BooleanField(**{**about, "required": False})
    if wanted["type"] == "string":
        return forms.CharField(max_length=wanted.get("maxLength"), empty_value=None, **about)
    if wanted["type"] == "array":
        about["required"] = wanted.get("minItems", 0) > 0
        about["help_text"] = f"{about['help_text']} {ListField.how}".strip()
        return ListField(**about)
    return _number(wanted, about)


def _number(schema: Schema, about: Mapping[str, Any]) -> forms.Field:
    is_whole = schema["type"] == "integer"
    bounds = {"min": schema.get("minimum"), "max": schema.get("maximum")}
    if "exclusiveMaximum" in schema and is_whole:
        bounds["max"] = schema["exclusiveMaximum"] - 1
    attrs = {name: value for name, value in bounds.items() if value is not None}
    widget = forms.NumberInput(attrs={**attrs, "step": 1 if is_whole else "any"})
    kind = forms.IntegerField if is_whole else forms.FloatField
    return kind(widget=widget, **about)


def _without_null(schema: Schema) -> tuple[Schema, bool]:
    """The schema of a value that is there, and whether it must be."""
    options = [option for option in schema.get("anyOf", ()) if option.get("type") != "null"]
    return (options[0], False) if options else (schema, True)


class PlanForm(forms.Form):
    """The fields of a plan for one kind of task and adapter.

    `plan` holds the result when it is valid.
    """

    plan: Plan | None = None

    def __init__(
        self,
        *args: Any,
        task: str,
        adapter: str = "lora",
        given: Mapping[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """`given` is a plan as JSON to begin with, whole or in part."""
        super().__init__(*args, **kwargs)
        self.task = task
        self.adapter = adapter
        self._kinds = {"task": task, "adapter": adapter}
        self._parts = list(parts_of(plan_schema(), self._kinds))
        for _, _, fields in self._parts:
            for path, schema in fields.items():
                self.fields[name_of(path)] = field_of(schema, path[-1])
                self._begin_with(path, given or {})

    def _begin_with(self, path: Path, given: Mapping[str, Any]) -> None:
        found: Any = given
        for name in path:
            if not isinstance(found, Mapping) or name not in found:
                return
            found = found[name]
        self.fields[name_of(path)].initial = found

    @property
    def sections(self) -> list[Section]:
        return [self._section(name, text, tuple(fields)) for name, text, fields in self._parts]

    def _section(self, name: str, text: str, paths: Sequence[Path]) -> Section:
        main = [path for path in paths if path in MAIN]
        return Section(
            name=name,
            title=SECTIONS[name],
            text=text,
            main=[self._setting(path) for path in main],
            more=[self._setting(path) for path in paths if path not in main],
        )

    def _setting(self, path: Path) -> Setting:
        return Setting(self[name_of(path)], UNITS.get(path[-1], ""))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            self.plan = Plan.model_validate_json(json.dumps(self.document()))
        except ValidationError as refused:
            for error in refused.errors():
                self._blame(error["loc"], str(error["msg"]))
        if self.errors:
            self.plan = None
        return cleaned

    def document(self) -> dict[str, Any]:
        """The plan as JSON: what could be read of what was sent, or what the form begins with."""
        document: dict[str, Any] = {name: {"type": kind} for name, kind in self._kinds.items()}
        for _, _, fields in self._parts:
            for path in fields:
                if (value := self._value(name_of(path))) is not None:
                    _put(document, path, value)
        return document

    def _value(self, name: str) -> Any:
        return self.cleaned_data.get(name) if self.is_bound else self[name].initial

    def _blame(self, location: Sequence[str | int], message: str) -> None:
        """Say what is wrong beside the field it is about; once for each field."""
        names = [str(part) for part in location if part not in self._kinds.values()]
        field = name_of(tuple(names[:2])) if name_of(tuple(names[:2])) in self.fields else None
        if field is None and name_of(tuple(names[:1])) in self.fields:
            field = names[0]
        if field is None and names:  # about a part as a whole: at the first field of it
            field = next((n for n in self.fields if n.startswith(f"{names[0]}-")), None)
        if field is None or field not in self.errors:
            self.add_error(field, readable(message))


def plan_from(form: PlanForm) -> Plan | None:
    """The plan as the form stands, sent or not; None while something in it is wrong."""
    if form.is_bound:
        return form.plan if form.is_valid() else None
    try:
        return Plan.model_validate_json(json.dumps(form.document()))
    except ValidationError:
        return None


def readable(message: str) -> str:
    """Pydantic's words as a person would say them."""
    text = message.removeprefix("Value error, ").replace("Input should be", "Must be")
    text = text.replace("Tuple should have", "Needs").replace(" after validation", "")
    return f"{text[:1].upper()}{text[1:]}."


def _put(document: dict[str, Any], path: Path, value: Any) -> None:
    *outer, last = path
    inner = document
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = value
