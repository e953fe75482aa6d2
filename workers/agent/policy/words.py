"""The policy in plain words, for the site's own people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from agent.home import Home
from agent.policy import document
from agent.policy.document import Budget, Policy, PolicyFault, Rules, rules_in
from agent.policy.rules import HOUR, MEGABYTE, Refusal, Use, figure
from agent.policy.standing import Standing
from agent.policy.windows import DAYS, Window, opens_next


@dataclass(frozen=True, slots=True)
class Meaning:
    """One rule of the file. `federation` None: for all of them."""

    federation: str | None
    rule: str
    words: str


def meanings(found: Policy) -> list[Meaning]:
    """Every rule that the file sets, those for all federations first."""
    sections: list[tuple[str | None, Rules]] = [(None, found), *sorted(found.federation.items())]
    return [
        Meaning(scope, name, WORDS[name](value))
        for scope, rules in sections
        for name, value in rules_in(rules)
    ]


def in_short(home: Home) -> str:
    """The state of the policy in a line, for `status`."""
    try:
        names = document.read(home.folder / document.FILE).rule_names()
    except PolicyFault as fault:
        return f"unreadable, no work is taken: {fault}"
    return ", ".join(names) if names else "none: everything is allowed"


def not_before(standing: Standing, federation: str) -> datetime | None:
    """When the windows that are closed to a federation open; None: they do not, or are open."""
    closed = [
        rules.windows
        for _, rules in standing.policy.sections(federation)
        if rules.windows is not None and not any(w.holds(standing.local) for w in rules.windows)
    ]
    opening = [opens_next(windows, standing.local) for windows in closed]
    known = [moment for moment in opening if moment is not None]
    return max(known) if known and len(known) == len(opening) else None


def used(standing: Standing) -> Iterator[tuple[str | None, str, float, float | None]]:
    """Use against its ceilings: for whom, of what, how much, of how much (None: no ceiling)."""
    day, found = standing.local.date(), standing.policy
    sections: list[tuple[str | None, Rules]] = [(None, found), *sorted(found.federation.items())]
    for scope, rules in sections:
        spans: tuple[tuple[str, Budget, Use], ...] = (
            ("per_day", rules.per_day, standing.book.today(day, scope)),
            ("total", rules.total, standing.book.total(scope)),
        )
        for span, budget, use in spans:
            for name, amount in amounts(use).items():
                yield scope, f"{span}.{name}", amount, getattr(budget, name)


def amounts(use: Use) -> Mapping[str, float]:
    """What was used, in the units of the file."""
    return {
        "device_hours": use.device_seconds / HOUR,
        "upload_mb": use.sent_bytes / MEGABYTE,
        "download_mb": use.received_bytes / MEGABYTE,
    }


def described(refusals: Sequence[Refusal]) -> list[dict[str, str]]:
    return [{"rule": refusal.rule, "words": refusal.words} for refusal in refusals]


def _only(what: str) -> Callable[[Any], str]:
    return lambda names: f"{what} {', '.join(names)} only" if names else f"{what} nothing"


def _most(unit: str) -> Callable[[Any], str]:
    return lambda amount: f"at most {unit.format(figure(amount))}"


def _hours(windows: Sequence[Window]) -> str:
    return "; ".join(map(_span, windows)) or "never"


def _span(window: Window) -> str:
    days = "every day" if set(window.days) == set(DAYS) else ", ".join(window.days)
    return f"{days} from {window.start} to {window.end}"


WORDS: Final[Mapping[str, Callable[[Any], str]]] = {
    "paused": lambda _: "takes no work",
    "windows": _hours,
    "federations": _only("works for"),
    "base_models": _only("works on"),
    "tasks": _only("does"),
    "work": _only("does"),
    "privacy": lambda profile: f"plans that offer {profile} or more only",
    "require_consent": lambda _: "each run needs consent: foedus-agent policy consent RUN",
    "limits.steps": _most("{} steps a task"),
    "limits.epochs": _most("{} epochs a task"),
    "limits.rank": _most("rank {}"),
    "limits.tokens_per_text": _most("{} tokens a text"),
    "per_day.device_hours": _most("{} hours of device time a day"),
    "per_day.upload_mb": _most("{} MB sent a day"),
    "per_day.download_mb": _most("{} MB received a day"),
    "total.device_hours": _most("{} hours of device time altogether"),
    "total.upload_mb": _most("{} MB sent altogether"),
    "total.download_mb": _most("{} MB received altogether"),
}
