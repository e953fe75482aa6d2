"""A plan in words: in one line, and value by value under the titles that its form has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from federation.compatibility import PLAIN_COMBINATION, PLAIN_RULE, survived
from federation.plan import Plan
from federation.plan_tasks import Labelled
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
)

COLUMNS = (
    ("task", "adapter"),
    ("training",),
    ("rounds", "evaluation", "gates"),
    ("aggregation", "server", "transfer", "valuation", "rewards", "seed"),
)
# What a value that is not there means, in a section or of a field.
EMPTY = {"gates": "not asked for", "commit_seconds": "sent at once"}


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
            SECTIONS[name],
            [_fact(path, schema, _taken(plan, path)) for path, schema in fields.items()],
        )
        for name, _, fields in parts_of(plan_schema(), kinds_of(plan))
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
    label, unit = schema["title"], UNITS.get(path[-1], "")
    match value:
        case None:
            return Fact(label, EMPTY.get(path[-1]) or EMPTY.get(path[0], "by itself"))
        case bool():
            return Fact(label, "yes" if value else "no")
        case tuple():
            return Fact(label, "" if value else "none", words=value)
        case int() | float():
            return Fact(label, _measured(value, unit))
    return Fact(label, choice(path[-1], value))


def _measured(value: float, unit: str) -> str:
    if unit == "seconds":
        return duration(value)
    text = f"{value:,}" if isinstance(value, int) else f"{value:g}"
    return f"{text} {unit}".strip()


def in_one_line(plan: Plan) -> str:
    """What a plan comes down to."""
    task, rounds = plan.task, plan.rounds
    what = TASKS[task.type]
    if isinstance(task, Labelled):
        what += f" under {len(task.labels):,} labels"
    return (
        f"{what}; {plan.adapter.in_words}; "
        f"{rounds.count:,} round{'' if rounds.count == 1 else 's'}, each with {rounds.quorum} "
        f"updates at least within {duration(rounds.deadline_seconds)}; aggregated by "
        f"{plan.aggregation.strategy}{_server(plan)}."
    )


def _server(plan: Plan) -> str:
    name = plan.server.optimiser
    return "" if name == "none" else f", with {choice('optimiser', name)} at the server"


def survival(plan: Plan, members: int) -> str:
    """How many harmful updates the run survives with its present members, in a sentence."""
    chosen = plan.aggregation
    if (chosen.rule, chosen.combination) == (PLAIN_RULE, PLAIN_COMBINATION):
        return "Plain shares: survive 0 lies, whatever the number of updates."
    guarding = (
        ("rule", chosen.rule) if chosen.rule != PLAIN_RULE else ("combination", chosen.combination)
    )
    name = choice(*guarding)
    lies = survived(chosen.rule, chosen.combination, chosen.liars, members)
    return (
        f"{name[:1].upper()}{name[1:]}: survives {lies} {'lie' if lies == 1 else 'lies'} among "
        f"{members} updates."
    )
