"""Whether it is healthy: doctor."""

from __future__ import annotations

import json
from dataclasses import asdict

import typer

from agent.checks import State
from agent.commands.shared import Exit, HomeOption, JsonOption, say
from agent.doctor import Line, examine
from agent.home import Home


def doctor(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Check clock, network, key, disk, memory, devices, base models and data; say what to do."""
    lines: list[Line] = []
    for line in examine(Home.found(home)):
        lines.append(line)
        if not as_json:
            _say(line)
    is_healthy = all(line.state != State.PROBLEM for line in lines)
    if as_json:
        say(json.dumps({"healthy": is_healthy, "lines": [asdict(line) for line in lines]}))
    if not is_healthy:
        raise typer.Exit(Exit.UNWELL)


def _say(line: Line) -> None:
    say(f"{line.state:<8} {line.check:<15} {line.says}")
    if line.do:
        say(f"{'':<24} → {line.do}")


def add_to(app: typer.Typer) -> None:
    app.command()(doctor)
