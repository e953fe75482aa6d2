"""The site's data: readable, with what the plans of its federations need."""

from __future__ import annotations

from collections.abc import Iterator

from agent.census import UNREADABLE, Census, census
from agent.checks.base import Finding, Site, checks, ok, problem, warning
from agent.datasets import DataSet, Part
from agent.errors import Away, DataRefused, Refused
from federation.plan import Plan
from federation.plan_tasks import Labelled

ADD = "foedus-agent data add"
NOUNS = {"text": "text", "messages": "conversation", "image": "image"}


@checks.register("data")
def data(site: Site) -> Iterator[Finding]:
    """Every registered data set, read from its first row to its last."""
    if not site.data:
        yield warning("No federation may use any data here.", f"{ADD} FEDERATION PATH")
    known = _plans(site)
    for slug, found in sorted(site.data.items()):
        if known is not None and slug not in known:
            yield warning(
                f"{slug}: the organisation takes part in no such federation.",
                f"Join it on the hub, or foedus-agent data remove {slug}",
            )
        plan = (known or {}).get(slug)
        yield from _part(slug, found, "train", plan)
        yield from _part(slug, found, "test", plan)


def _plans(site: Site) -> dict[str, Plan | None] | None:
    """The newest plan by federation; None where the hub cannot be asked."""
    try:
        return {place.federation: place.plan for place in site.standing.places}
    except (Refused, Away, ValueError):
        return None


def _part(slug: str, found: DataSet, part: Part, plan: Plan | None) -> Iterator[Finding]:
    told = f"{slug}, {part}"
    if part == "test" and not found.file(part).exists():
        yield warning(f"{told}: there is none, so evaluations fail here.", "Put a test file there.")
        return
    try:
        counts = census(found, part, plan.task.columns[0] if plan else None)
    except DataRefused as refused:
        yield problem(f"{told}: {refused.detail}.", f"Correct it, or {ADD} {slug} PATH")
        return
    wrong = list(_wrong(told, found, counts, plan))
    yield from wrong
    if not wrong:
        labels = f", {len(counts.labels)} labels" if counts.labels else ""
        yield ok(f"{told}: {counts.usable} examples{labels}.")


def _wrong(told: str, found: DataSet, counts: Census, plan: Plan | None) -> Iterator[Finding]:
    main = getattr(found, counts.main)
    if counts.rows and main not in counts.columns:
        yield problem(f"{told}: there is no column {main!r}.", f"{ADD} … --{counts.main} COLUMN")
        return
    if counts.unreadable:
        yield problem(
            f"{told}: {counts.unreadable} of {counts.rows} rows {UNREADABLE[counts.main]}.",
            "Correct them, or take them out.",
        )
    elif not counts.usable:
        yield problem(f"{told}: there is not one {NOUNS[counts.main]}.", "Put examples there.")
        return
    if counts.empty:
        yield warning(
            f"{told}: {counts.empty} of {counts.rows} rows have no {NOUNS[counts.main]}.",
            "Nothing.",
        )
    if plan and isinstance(plan.task, Labelled):
        yield from _labels(told, found, counts, plan)


def _labels(told: str, found: DataSet, counts: Census, plan: Plan) -> Iterator[Finding]:
    if found.label not in counts.columns:
        yield problem(f"{told}: there is no column {found.label!r}.", f"{ADD} … --label COLUMN")
    elif counts.unlabelled:
        yield problem(
            f"{told}: {counts.unlabelled} of {counts.usable} examples have no label.",
            "Label them, or take them out.",
        )
    if unknown := counts.unknown_to(plan):
        yield problem(
            f"{told}: {unknown} of {counts.usable} examples have a label that the plan of the "
            "newest run does not list.",
            "Use the plan's labels; foedus-agent data preview shows yours.",
        )
