"""A plan in words: in one line, and value by value under the titles that its form has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop as _noop
from django.utils.translation import ngettext

from federation.compatibility import PLAIN_COMBINATION, PLAIN_RULE, survived
from federation.plan import Plan
from federation.plan_tasks import Labelled
from hub.catalogue.adapterwords import adapter_in_words
from hub.common.templatetags.foedus import duration
from hub.runs.planforms import (
    SECTIONS,
    TASKS,
    UNITS,
    Path,
    Schema,
    choice,
    parts_of,
    plan_schema,
    said,
)

COLUMNS = (
    ("task", "adapter"),
    ("training",),
    ("rounds", "evaluation", "gates"),
    ("aggregation", "server", "transfer", "valuation", "rewards", "seed"),
)
# What a value that is not there means, in a section or of a field.
EMPTY = {"gates": _noop("not asked for"), "commit_seconds": _noop("sent at once")}


@dataclass(frozen=True, slots=True)
class Fact:
    """One value of a plan in words; `words` where it is a list."""

    label: str
    text: str = ""
    words: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Described:
    name: str
    title: str
    facts: Sequence[Fact]


def described(plan: Plan) -> list[Described]:
    """A plan as names and values, under the titles that its form has."""
    return [
        Described(
            name,
            _(SECTIONS[name]),
            [_fact(path, schema, _taken(plan, path)) for path, schema in fields.items()],
        )
        for name, _text, fields in parts_of(plan_schema(), kinds_of(plan))
    ]


def kinds_of(plan: Plan) -> dict[str, str]:
    """The types that a plan's form is made for."""
    return {"task": plan.task.type, "adapter": plan.adapter.type}


def _taken(plan: Plan, path: Path) -> Any:
    found: Any = plan
    for name in path:
        found = getattr(found, name)
    return found


def _fact(path: Path, schema: Schema, value: Any) -> Fact:
    label, unit = said(schema["title"]), UNITS.get(path[-1], "")
    match value:
        case None:
            return Fact(label, _(EMPTY.get(path[-1]) or EMPTY.get(path[0], _noop("by itself"))))
        case bool():
            return Fact(label, _("yes") if value else _("no"))
        case tuple():
            return Fact(label, "" if value else _("none"), words=value)
        case int() | float():
            return Fact(label, _measured(value, unit))
    return Fact(label, choice(path[-1], value))


def _measured(value: float, unit: str) -> str:
    if unit == "seconds":
        return duration(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"{text} {said(unit)}".strip()


def in_one_line(plan: Plan) -> str:
    """What a plan comes down to."""
    parts = [_task(plan), adapter_in_words(plan.adapter), _rounds(plan), _aggregation(plan)]
    return f"{'; '.join(parts)}."


def _task(plan: Plan) -> str:
    task, what = plan.task, _(TASKS[plan.task.type])
    if not isinstance(task, Labelled):
        return what
    return _("%(task)s under %(count)s labels") % {"task": what, "count": f"{len(task.labels):,}"}


def _rounds(plan: Plan) -> str:
    rounds = plan.rounds
    return ngettext(
        "%(count)s round, each with %(quorum)s updates at least within %(deadline)s",
        "%(count)s rounds, each with %(quorum)s updates at least within %(deadline)s",
        rounds.count,
    ) % {
        "count": f"{rounds.count:,}",
        "quorum": rounds.quorum,
        "deadline": duration(rounds.deadline_seconds),
    }


def _aggregation(plan: Plan) -> str:
    named: dict[str, str] = {"strategy": plan.aggregation.strategy}
    if plan.server.optimiser == "none":
        return _("aggregated by %(strategy)s") % named
    named["optimiser"] = choice("optimiser", plan.server.optimiser)
    return _("aggregated by %(strategy)s, with %(optimiser)s at the server") % named


def survival(plan: Plan, members: int) -> str:
    """How many harmful updates the run survives with its present members, in a sentence."""
    chosen = plan.aggregation
    if (chosen.rule, chosen.combination) == (PLAIN_RULE, PLAIN_COMBINATION):
        return _("Plain shares: survive 0 lies, whatever the number of updates.")
    guarding = (
        ("rule", chosen.rule) if chosen.rule != PLAIN_RULE else ("combination", chosen.combination)
    )
    name = choice(*guarding)
    lies = survived(chosen.rule, chosen.combination, chosen.liars, members)
    return ngettext(
        "%(method)s: survives %(lies)s lie among %(members)s updates.",
        "%(method)s: survives %(lies)s lies among %(members)s updates.",
        lies,
    ) % {"method": f"{name[:1].upper()}{name[1:]}", "lies": lies, "members": members}
