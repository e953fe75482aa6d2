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
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from pydantic import ValidationError

from federation.plan import Plan
from hub.runs.planerrors import told

Schema: TypeAlias = Mapping[str, Any]
Path: TypeAlias = tuple[str, ...]

TASKS: Mapping[str, str] = {
    "sequence_classification": _noop("Classify texts"),
    "causal_lm": _noop("Continue texts"),
    "chat": _noop("Answer in chats"),
    "masked_lm": _noop("Fill in hidden words"),
    "image_classification": _noop("Classify images"),
}
ADAPTERS: Mapping[str, str] = {
    "lora": _noop("LoRA"),
    "ia3": _noop("IA³"),
    "prompt_tuning": _noop("A learnt prompt"),
    "full": _noop("All weights"),
}
SECTIONS: Mapping[str, str] = {
    "task": _noop("What is learnt"),
    "adapter": _noop("The adapter"),
    "training": _noop("Training at each site"),
    "rounds": _noop("Rounds"),
    "aggregation": _noop("Aggregation"),
    "server": _noop("The step of the server"),
    "evaluation": _noop("Evaluation"),
    "gates": _noop("Gates before a release"),
    "valuation": _noop("Value of contributions"),
    "rewards": _noop("Rewards"),
    "transfer": _noop("On the way to the hub"),
    "seed": _noop("Repeatability"),
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
    "deadline_seconds": _noop("seconds"),
    "commit_seconds": _noop("seconds"),
    "max_tokens": _noop("tokens"),
    "virtual_tokens": _noop("tokens"),
    "count": _noop("rounds"),
    "quorum": _noop("updates"),
    "buffer": _noop("updates"),
    "batch_size": _noop("examples"),
    "max_steps": _noop("steps"),
    "budget": _noop("credits"),
    "hold_days": _noop("days"),
}
CHOICES: Mapping[str, str] = {
    "mean": _noop("mean over the tokens"),
    "model": _noop("the model's own head"),
    "round": _noop("after every round"),
    "last": _noop("after the last round"),
    "never": _noop("never"),
    "constant": _noop("constant"),
    "linear": _noop("linear"),
    "cosine": _noop("cosine"),
    "wait": _noop("wait for a person"),
    "leave_out": _noop("close without them"),
}
# Where the same value means something else in another field.
CHOICES_OF: Mapping[str, Mapping[str, str]] = {
    "rule": {
        "shares": _noop("none: all count by their shares"),
        "krum": _noop("Krum"),
        "multi_krum": _noop("Multi-Krum"),
        "bulyan": _noop("Bulyan"),
        "geometric_median": _noop("geometric median"),
        "flame": _noop("FLAME"),
        "fltrust": _noop("FLTrust"),
    },
    "optimiser": {
        "none": _noop("none: by the combined change"),
        "fedavgm": _noop("FedAvgM"),
        "diloco": _noop("DiLoCo"),
        "fedadagrad": _noop("FedAdagrad"),
        "fedadam": _noop("FedAdam"),
        "fedyogi": _noop("FedYogi"),
        "scaffold": _noop("SCAFFOLD"),
        "adamw": _noop("AdamW"),
        "sgd": _noop("plain SGD"),
    },
    "late": {
        "refuse": _noop("refuse"),
        "record": _noop("record without counting"),
        "count": _noop("count in a later round"),
    },
    "game": {"fixed_weight": _noop("fixed weights")},
    "method": {
        "none": _noop("not measured"),
        "shapley": _noop("Shapley value"),
        "exact": _noop("Shapley value, exact"),
        "guided_permutations": _noop("Shapley value, sampled"),
        "leave_one_out": _noop("leave one out"),
        "gradient_alignment": _noop("gradient alignment"),
        "cgsv": _noop("CGSV"),
    },
    "probe": {
        "public": _noop("the public probe set"),
        "members": _noop("data of the other members"),
    },
    "doubt": {
        "measured": _noop("what was measured decides"),
        "block": _noop("block the release"),
        "allow": _noop("allow the release"),
    },
    "combination": {
        "mean": _noop("mean"),
        "median": _noop("median"),
        "trimmed_mean": _noop("trimmed mean"),
        "near_median": _noop("mean near the median"),
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

    how = _noop("One a line, or with commas between.")
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
    words = CHOICES_OF.get(field, CHOICES).get(value)
    return said(words) if words else value


def said(text: str) -> str:
    """What the schema or a table here says, in the reader's language."""
    return _(text) if text else ""


def field_of(schema: Schema, name: str = "") -> forms.Field:
    """The Django field for one field of the plan. Bounds are told to browsers, kept by pydantic."""
    wanted, is_required = _without_null(schema)
    about: dict[str, Any] = {
        "label": said(schema.get("title", "")),
        "help_text": said(schema.get("description", "")),
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
        about["help_text"] = f"{about['help_text']} {_(ListField.how)}".strip()
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
        for _name, _text, fields in self._parts:
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
            title=_(SECTIONS[name]),
            text=said(text),
            main=[self._setting(path) for path in main],
            more=[self._setting(path) for path in paths if path not in main],
        )

    def _setting(self, path: Path) -> Setting:
        return Setting(self[name_of(path)], said(UNITS.get(path[-1], "")))

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        try:
            self.plan = Plan.model_validate_json(json.dumps(self.document()))
        except ValidationError as refused:
            for error in refused.errors():
                self._blame(error["loc"], told(error))
        if self.errors:
            self.plan = None
        return cleaned

    def document(self) -> dict[str, Any]:
        """The plan as JSON: what could be read of what was sent, or what the form begins with."""
        document: dict[str, Any] = {name: {"type": kind} for name, kind in self._kinds.items()}
        for _name, _text, fields in self._parts:
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
            self.add_error(field, message)


def plan_from(form: PlanForm) -> Plan | None:
    """The plan as the form stands, sent or not; None while something in it is wrong."""
    if form.is_bound:
        return form.plan if form.is_valid() else None
    try:
        return Plan.model_validate_json(json.dumps(form.document()))
    except ValidationError:
        return None


def _put(document: dict[str, Any], path: Path, value: Any) -> None:
    *outer, last = path
    inner = document
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = value
