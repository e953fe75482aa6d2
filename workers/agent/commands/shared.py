"""What all commands share: options, exit codes, and how they speak to people and to scripts."""

from __future__ import annotations

import json
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Exit(IntEnum):
    """How a command ends; docs/agent.md has the table. 2 is typer's: wrong usage."""

    DONE = 0
    FAULT = 3
    REFUSED = 4
    AWAY = 5
    STOPPED = 6
    UNWELL = 7
    DECLINED = 8
    LEDGER = 9


HomeOption = Annotated[
    Path | None,
    typer.Option("--home", envvar="FOEDUS_AGENT_HOME", help="The agent's folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
FederationArgument = Annotated[
    str, typer.Argument(help="The federation's short name (slug).", metavar="FEDERATION")
]


def say(text: str) -> None:
    """A line for people."""
    typer.echo(text)


def answer(document: Any, text: str, *, as_json: bool) -> None:
    """The command's outcome: a document for scripts, or a sentence for people."""
    typer.echo(json.dumps(document, indent=2, default=str) if as_json else text)
