"""Which local data each federation may use: data add, data list."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from agent.commands.shared import FederationArgument, HomeOption, JsonOption, answer, say
from agent.datasets import PARTS, DataSet, Part, found_in, read_rows, register, registered
from agent.errors import AgentFault
from agent.home import Home

app = typer.Typer(no_args_is_help=True, help="Which local data each federation may use.")


@app.command("add")
def add(
    federation: FederationArgument,
    folder: Annotated[Path, typer.Argument(help="Folder with train and test files.")],
    *,
    text: Annotated[str, typer.Option(help="Column of the texts or answers.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    prompt: Annotated[str, typer.Option(help="Column of the prompts, if there is one.")] = "prompt",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a federation train on a local folder; the mapping stays on this machine."""
    chosen = found_in(folder, text=text, label=label, prompt=prompt)
    counts = {part: _count(chosen, part) for part in PARTS if chosen.file(part).exists()}
    register(Home.found(home).data_file, federation, chosen)
    told = ", ".join(f"{count} {part}" for part, count in counts.items())
    document = {"federation": federation, **asdict(chosen), "examples": counts}
    answer(document, f"{federation}: {told} examples in {chosen.folder}", as_json=as_json)


def _count(chosen: DataSet, part: Part) -> int:
    rows = read_rows(chosen.file(part))
    if rows and chosen.text not in rows[0]:
        raise AgentFault(f"{chosen.file(part)} has no column {chosen.text!r}: use --text.")
    return len(rows)


@app.command("list")
def listed(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the federations and the local folders they may use."""
    known = registered(Home.found(home).data_file)
    if as_json:
        say(json.dumps({slug: asdict(found) for slug, found in known.items()}, default=str))
        return
    table = Table("federation", "folder", "train", "test", "text", "label", "prompt")
    for slug, found in sorted(known.items()):
        table.add_row(slug, *map(str, asdict(found).values()))
    Console().print(table if known else "None yet: foedus-agent data add FEDERATION PATH")
