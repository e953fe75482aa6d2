"""Which local data each federation may use: data add, list, preview, remove."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from agent.census import UNREADABLE, Census, census, sample
from agent.commands.shared import FederationArgument, HomeOption, JsonOption, answer, say
from agent.datasets import PARTS, DataSet, Row, found_in, register, registered, unregister
from agent.errors import AgentFault
from agent.home import Home

LONGEST_CELL = 60  # characters of a value that a preview shows
MOST_LABELS = 20
DECLARING = "An owner can declare these numbers on the federation's page at the hub."
COUNTS = ("main", "rows", "usable", "empty", "unreadable", "prompted", "unlabelled")

app = typer.Typer(no_args_is_help=True, help="Which local data each federation may use.")


@app.command("add")
def add(
    federation: FederationArgument,
    path: Annotated[Path, typer.Argument(help="Folder with train and test files, or a file.")],
    *,
    test: Annotated[
        Path | None, typer.Option(help="The test file, where it is not beside the other.")
    ] = None,
    text: Annotated[str | None, typer.Option(help="Column of the texts or answers.")] = None,
    label: Annotated[str | None, typer.Option(help="Column of the labels.")] = None,
    prompt: Annotated[str | None, typer.Option(help="Column of the prompts.")] = None,
    messages: Annotated[str | None, typer.Option(help="Column of the conversations.")] = None,
    image: Annotated[str | None, typer.Option(help="Column of the images' files.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let a federation train on local data; the mapping stays on this machine.

    A column that is not named is called what it is: text, label, prompt, messages, image.
    """
    asked = {"text": text, "label": label, "prompt": prompt, "messages": messages, "image": image}
    named = {role: column for role, column in asked.items() if column is not None}
    chosen = found_in(path, test=test, **named)
    there = [part for part in PARTS if chosen.file(part).exists()]
    counts = {part: _checked(chosen, census(chosen, part), named) for part in there}
    register(Home.found(home).data_file, federation, chosen)
    told = ", ".join(f"{count} {part}" for part, count in counts.items())
    document = {"federation": federation, **asdict(chosen), "examples": counts}
    words = f"{federation}: {told} examples in {chosen.folder}\n{DECLARING}"
    answer(document, words, as_json=as_json)


def _checked(chosen: DataSet, found: Census, named: Mapping[str, str]) -> int:
    needed = {found.main: getattr(chosen, found.main), **named}
    for role, column in needed.items():
        if found.rows and column not in found.columns:
            columns = ", ".join(found.columns)
            raise AgentFault(f"There is no column {column!r}, but {columns}: use --{role}.")
    return found.usable


@app.command("list")
def listed(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the federations and the local data they may use."""
    known = registered(Home.found(home).data_file)
    if as_json:
        say(json.dumps({slug: asdict(found) for slug, found in known.items()}, default=str))
        return
    table = Table("federation", *(field.name for field in fields(DataSet)))
    for slug, found in sorted(known.items()):
        table.add_row(slug, *map(str, asdict(found).values()))
    Console().print(table if known else "None yet: foedus-agent data add FEDERATION PATH")


@app.command("preview")
def preview(
    federation: FederationArgument,
    *,
    rows: Annotated[int, typer.Option(min=0, max=100, help="How many rows to show.")] = 3,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a federation's data hold, on this screen alone: columns, counts, labels, rows."""
    chosen = _mapped(Home.found(home), federation)
    there = [part for part in PARTS if chosen.file(part).exists()]
    parts = {part: sample(chosen, part, rows) for part in there}
    if as_json:
        document = {part: _document(*found) for part, found in parts.items()}
        say(json.dumps({"federation": federation, **document}, indent=2, default=str))
        return
    for part, (first, found) in parts.items():
        _show(f"{federation}, {part}", first, found)


def _document(first: Sequence[Row], found: Census) -> dict[str, Any]:
    counts = {name: getattr(found, name) for name in COUNTS}
    columns, labels = list(found.columns), dict(found.labels.most_common())
    return {**counts, "columns": columns, "labels": labels, "sample": first}


def _show(title: str, first: Sequence[Row], found: Census) -> None:
    say(f"{title}: {found.usable} examples in {found.rows} rows, {found.prompted} with a prompt")
    say(f"  {found.empty} without {found.main}, {found.unlabelled} without label")
    if found.unreadable:
        say(f"  {found.unreadable} {UNREADABLE[found.main]}")
    for label, count in found.labels.most_common(MOST_LABELS):
        say(f"  {count:>8} {label}")
    if len(found.labels) > MOST_LABELS:
        say(f"  and {len(found.labels) - MOST_LABELS} more labels")
    table = Table(*map(escape, found.columns))
    for row in first:
        table.add_row(*(_cell(row, column) for column in found.columns))
    Console().print(table)


def _cell(row: Mapping[str, object], column: str) -> Text:
    """A value as it is: brackets in it are no markup."""
    value = row.get(column)
    text = "" if value is None else str(value)
    return Text(text if len(text) <= LONGEST_CELL else f"{text[:LONGEST_CELL]}…")


@app.command("remove")
def remove(
    federation: FederationArgument, *, home: HomeOption = None, as_json: JsonOption = False
) -> None:
    """Let a federation use no local data any more; the files stay where they are."""
    unregister(Home.found(home).data_file, federation)
    answer({"removed": federation}, f"{federation} may use nothing here now.", as_json=as_json)


def _mapped(home: Home, federation: str) -> DataSet:
    known = registered(home.data_file)
    if federation not in known:
        raise AgentFault(f"No data is mapped to {federation}: see foedus-agent data list.")
    return known[federation]
