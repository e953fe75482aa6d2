"""What this site allows: policy check, show, consent, revoke."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from rich.console import Console
from rich.table import Table

from agent import policy
from agent.commands.shared import Exit, HomeOption, JsonOption, answer, say
from agent.datasets import registered
from agent.home import Home
from agent.policy import cases, consents
from agent.policy.rules import figure
from agent.policy.standing import Standing, declines
from agent.policy.words import described, meanings, not_before, used

app = typer.Typer(no_args_is_help=True, help="What this site allows; the rules are in policy.toml.")

RunArgument = Annotated[UUID, typer.Argument(help="The run's id, as in its address at the hub.")]
ALL = "all"


@app.command("check")
def check(
    *,
    plan: Annotated[
        Path | None, typer.Option(help="Judge this plan too: a plan, or a run from the API.")
    ] = None,
    federation: Annotated[
        str | None, typer.Option(help="The plan's federation, where the file does not say it.")
    ] = None,
    base: Annotated[str | None, typer.Option(help="The plan's base model.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain policy.toml, or what is wrong with it; with --plan, say whether it would be done."""
    standing = _standing(Home.found(home))
    if plan is None:
        _explain(standing, as_json=as_json)
        return
    case = cases.read(plan, federation=federation, base=base)
    declined = standing.declined(case)
    document = {
        "accepted": not declined,
        "declined_by": described(declined),
        "not_judged": list(cases.unjudged(standing.policy, case)),
        "closed_now": described(standing.closed(case.federation) if case.federation else []),
    }
    answer(document, _judged(document), as_json=as_json)
    if declined:
        raise typer.Exit(Exit.DECLINED)


@app.command("show")
def show(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show what is open now, what was used, the consents, and what was declined lately."""
    found = Home.found(home)
    standing = _standing(found)
    document = {
        "at": standing.local.isoformat(timespec="seconds"),
        "federations": [_place(standing, slug) for slug in sorted(registered(found.data_file))],
        "used": [
            {"federation": scope, "rule": rule, "used": round(amount, 6), "of": most}
            for scope, rule, amount, most in used(standing)
        ],
        "consents": {
            str(run): ends_at.isoformat(timespec="seconds")
            for run, ends_at in consents.valid(standing.consents, standing.now).items()
        },
        "declined": [decline.model_dump(mode="json") for decline in declines(found)],
    }
    answer(document, "", as_json=True) if as_json else _draw(document)


@app.command("consent")
def consent(
    run: RunArgument,
    *,
    days: Annotated[int, typer.Option(min=1, max=3650, help="When the consent ends.")] = 30,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Consent to a run, where the policy requires it; again, for a new end."""
    now = datetime.now(UTC)
    ends_at = now + timedelta(days=days)
    consents.give(_consents(home), run, ends_at=ends_at, now=now)
    document = {"run": str(run), "ends_at": ends_at.isoformat(timespec="seconds")}
    answer(document, f"Consented to {run} until {ends_at:%Y-%m-%d %H:%M} UTC.", as_json=as_json)


@app.command("revoke")
def revoke(run: RunArgument, *, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take a consent back: no further task of the run is accepted."""
    was_given = consents.revoke(_consents(home), run, now=datetime.now(UTC))
    told = f"No consent to {run} any more." if was_given else f"There was no consent to {run}."
    answer({"run": str(run), "was_given": was_given}, told, as_json=as_json)


def _standing(home: Home) -> Standing:
    return Standing.read(home, datetime.now(UTC))


def _consents(home: Path | None) -> Path:
    return Home.found(home).folder / consents.FILE


def _explain(standing: Standing, *, as_json: bool) -> None:
    found = meanings(standing.policy)
    if as_json:
        rules = [{"federation": m.federation, "rule": m.rule, "means": m.words} for m in found]
        answer({"timezone": standing.policy.timezone, "rules": rules}, "", as_json=True)
        return
    if not found:
        say(f"No rule in {policy.FILE}: everything is allowed.")
        return
    _table(("for", "rule", "means"), [(m.federation or ALL, m.rule, m.words) for m in found])
    say(f"Days and hours are those of {standing.policy.timezone}.")


def _judged(document: dict[str, Any]) -> str:
    lines = ["It would be accepted." if document["accepted"] else "It would be declined:"]
    lines += [f"  {found['rule']}: {found['words']}" for found in document["declined_by"]]
    lines += [f"Not now: {found['rule']}: {found['words']}" for found in document["closed_now"]]
    if document["not_judged"]:
        lines.append(f"Not judged, since the file does not tell: {_listed(document['not_judged'])}")
    return "\n".join(lines)


def _listed(names: list[str]) -> str:
    return ", ".join("rules of single federations" if n == "federation" else n for n in names)


def _place(standing: Standing, slug: str) -> dict[str, Any]:
    closed, opens = standing.closed(slug), not_before(standing, slug)
    return {
        "federation": slug,
        "open": not closed,
        "closed_by": described(closed),
        "not_before": opens.isoformat(timespec="minutes") if opens else None,
    }


def _draw(document: dict[str, Any]) -> None:
    say(f"At {document['at']}, by the site's clock:")
    for place in document["federations"]:
        words = "; ".join(f"{found['rule']}: {found['words']}" for found in place["closed_by"])
        after = f" (not before {place['not_before']})" if place["not_before"] else ""
        say(f"  {place['federation']}: {words or 'work is taken'}{after}")
    rows = [
        (use["federation"] or ALL, use["rule"], figure(round(use["used"], 3)), _ceiling(use["of"]))
        for use in document["used"]
        if use["used"] or use["of"] is not None
    ]
    _table(("for", "use", "used", "of"), rows)
    for run, ends_at in document["consents"].items():
        say(f"Consent to {run} until {ends_at}")
    for lately in document["declined"]:
        where = f"run {lately['run']} of {lately['federation']}, round {lately['round']}"
        say(f"Declined {lately['at']}: {where}: {lately['rule']}: {lately['words']}")


def _ceiling(most: float | None) -> str:
    return "–" if most is None else figure(most)


def _table(heads: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    table = Table(*heads)
    for row in rows:
        table.add_row(*row)
    if rows:
        Console().print(table)
