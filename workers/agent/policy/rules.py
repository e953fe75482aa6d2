"""What the rules say to a task. Pure: the same facts, the same refusals.

A refusal *passes* where time or a hand at the site lifts it by itself: then no work is asked for
until it has. The others are told to the hub, for the task that meets them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Self
from uuid import UUID

from agent.policy.document import PROFILES, Budget, Limits, Policy, Rules
from agent.policy.windows import is_open
from federation.plan import Plan
from federation.protocol import TaskOffer, TaskType, TrainSpec

AMOUNTS = {
    "steps": "{} steps",
    "epochs": "{} epochs",
    "rank": "rank {}",
    "tokens_per_text": "{} tokens a text",
}
HOUR = 3600.0
MEGABYTE = 1_000_000.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """A rule that forbids a task; `words` say its limit, and never a path or another's name."""

    rule: str
    words: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.words}"


@dataclass(frozen=True, slots=True)
class Case:
    """What rules look at in a task, or in a plan that may become one. None: not known."""

    plan: Plan
    federation: str | None = None
    run: UUID | None = None
    base: str | None = None  # its short name
    revision: str | None = None
    work: TaskType | None = None
    rank: int | None = None  # at which this site would train

    @classmethod
    def of(cls, offer: TaskOffer) -> Self:
        spec = offer.spec
        return cls(
            plan=spec.plan,
            federation=offer.federation,
            run=offer.run,
            base=spec.base.repo.removeprefix("base/"),
            revision=spec.base.revision,
            work=TaskType(spec.type),
            rank=spec.rank if isinstance(spec, TrainSpec) else None,
        )


@dataclass(frozen=True, slots=True)
class Use:
    """What tasks have used; bytes are those of adapters and base models."""

    device_seconds: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Facts:
    """What else a section's rules look at: the site's clock, and the use that it bounds."""

    local: datetime
    today: Use = Use()
    total: Use = Use()
    has_consent: bool = False


def passing(rules: Rules, facts: Facts) -> Iterator[Refusal]:
    """Why a section's federations are not asked for work at present."""
    if rules.paused:
        yield Refusal("paused", "the site takes no work")
    if rules.windows is not None and not is_open(rules.windows, facts.local):
        yield Refusal("windows", "the site takes no work at this hour")
    for name, words in _used_up(rules.per_day, facts.today):
        yield Refusal(f"per_day.{name}", f"{words} a day are used up")


def lasting(rules: Rules, case: Case, facts: Facts) -> Iterator[Refusal]:
    """Why a section declines the task, whenever it comes."""
    yield from _lists(rules, case)
    yield from _privacy(rules, case.plan)
    yield from _limits(rules.limits, case)
    for name, words in _used_up(rules.total, facts.total):
        yield Refusal(f"total.{name}", f"{words} are used up")
    if rules.require_consent and case.run and not facts.has_consent:
        words = "the site's consent to this run is missing, or has expired"
        yield Refusal("require_consent", words)


def unlisted(policy: Policy, case: Case) -> Iterator[Refusal]:
    """Why the file as a whole declines a federation."""
    if policy.federations is not None and case.federation not in {*policy.federations, None}:
        yield Refusal("federations", "the federation is not on the site's list")


def figure(amount: float) -> str:
    """A figure as people write it: «5,000», «0.5»."""
    return f"{amount:,.10g}"


def _lists(rules: Rules, case: Case) -> Iterator[Refusal]:
    if rules.base_models is not None and case.base is not None:
        names = {case.base, f"{case.base}@{case.revision}"}
        if names.isdisjoint(rules.base_models):
            yield Refusal("base_models", "the base model is not on the site's list")
    kind = case.plan.task.type
    if rules.tasks is not None and kind not in rules.tasks:
        yield Refusal("tasks", f"{kind} is not on the site's list")
    if rules.work is not None and case.work is not None and case.work not in rules.work:
        yield Refusal("work", f"the site does not {case.work}")


def _privacy(rules: Rules, plan: Plan) -> Iterator[Refusal]:
    """Plans have no privacy section in this version: what they do not offer is not there."""
    offered = getattr(getattr(plan, "privacy", None), "profile", "none")
    enough = PROFILES[PROFILES.index(rules.privacy) :]
    if offered not in enough:
        yield Refusal("privacy", f"the plan offers {offered}, the site needs {rules.privacy}")


def _limits(limits: Limits, case: Case) -> Iterator[Refusal]:
    """Ceilings of training bind training alone; how long a text may be binds every task."""
    tokens = getattr(case.plan.task, "max_tokens", None)  # of images there are none
    asked: dict[str, tuple[float | None, float | None]] = {
        "tokens_per_text": (tokens, limits.tokens_per_text)
    }
    if case.work in {None, TaskType.TRAIN}:
        training = case.plan.training
        asked["rank"] = (case.rank, limits.rank)
        asked["epochs"] = (training.epochs, limits.epochs)
        asked["steps"] = (training.max_steps or math.inf, limits.steps)
    for name, (wanted, allowed) in asked.items():
        if wanted is not None and allowed is not None and wanted > allowed:
            yield Refusal(f"limits.{name}", _exceeded(name, wanted, allowed))


def _exceeded(name: str, wanted: float, allowed: float) -> str:
    asks = "sets no limit on {}" if wanted == math.inf else f"asks for {AMOUNTS[name]}"
    return f"the plan {asks}, the site allows {{}}".format(
        name if wanted == math.inf else figure(wanted), figure(allowed)
    )


def _used_up(budget: Budget, use: Use) -> Iterator[tuple[str, str]]:
    amounts = (
        ("device_hours", "hours of device time", use.device_seconds / HOUR),
        ("upload_mb", "MB sent", use.sent_bytes / MEGABYTE),
        ("download_mb", "MB received", use.received_bytes / MEGABYTE),
    )
    for name, words, used in amounts:
        most: float | None = getattr(budget, name)
        if most is not None and used >= most:
            yield name, f"the site's {figure(most)} {words}"
