"""What this site has seen of each federation's ledger: ledger show, accept."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from agent.commands.shared import Exit, FederationArgument, HomeOption, JsonOption, answer, say
from agent.home import Home
from agent.ledgers import Kept, Ledgers

app = typer.Typer(no_args_is_help=True, help="What this site has seen of its ledgers.")


@app.command("show")
def show(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show the last checkpoint of each ledger, and which federations are left alone, and why."""
    found = Home.found(home)
    kept = Ledgers(found).all()
    key = found.identity().ledger_key
    document = {"ledger_key": key, "ledgers": [_facts(one) for one in kept]}
    answer(document, "\n".join(_told(kept, key)), as_json=as_json)
    if any(one.held for one in kept):
        raise typer.Exit(Exit.LEDGER)


@app.command("accept")
def accept(
    federation: FederationArgument,
    *,
    new_key: Annotated[
        bool, typer.Option("--new-key", help="Pin the key that the hub's ledgers have now.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go on with the history that the hub shows now; what was seen until now is put aside."""
    found = Home.found(home)
    kept = Ledgers(found).of_slug(federation)
    if kept is None or not kept.held:
        answer({"accepted": False}, f"Nothing is held against {federation}.", as_json=as_json)
        return
    if not yes:
        say(f"{federation}: {kept.held.code.upper()}, {kept.held.words}.")
        typer.confirm("Have you heard from the hub's operator why, and accept it?", abort=True)
    aside = Ledgers(found).accept(kept)
    if new_key:
        found.keep_identity(found.identity().model_copy(update={"ledger_key": ""}))
    told = f"Work of {federation} is taken again. What was seen is in {aside}: keep it."
    answer({"accepted": True, "aside": str(aside)}, told, as_json=as_json)


def _facts(kept: Kept) -> dict[str, Any]:
    return kept.model_dump(mode="json", exclude={"owed"}) | {"owed": len(kept.owed)}


def _told(kept: list[Kept], key: str) -> list[str]:
    lines = [f"key {key}" if key else "No key yet: it is pinned with the first checkpoint."]
    for one in kept:
        seen = f", seen {one.seen_at:%Y-%m-%d %H:%M} UTC" if one.seen_at else ""
        lines.append(f"{one.slug}: {one.size} entries{seen}, root {one.root[:16] or 'none'}")
        if one.held:
            lines.append(f"  {one.held.code.upper()}: {one.held.words}. No work is taken.")
    return lines
