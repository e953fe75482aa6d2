"""`foedus-agent`: what a site engineer types."""

from __future__ import annotations

import asyncio
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.table import Table

from agent import __version__, logs
from agent.client import HubClient
from agent.datasets import PARTS, DataSet, Part, found_in, read_rows, register, registered
from agent.enrolment import checked_url, enrol
from agent.errors import AgentFault, Away, DataRefused, Refused
from agent.home import Home
from agent.journal import Entry, Journal

EXIT_FAULT, EXIT_REFUSED, EXIT_AWAY, EXIT_STOPPED = 3, 4, 5, 6

app = typer.Typer(
    name="foedus-agent", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
data = typer.Typer(no_args_is_help=True, help="Which local data each federation may use.")
app.add_typer(data, name="data")

HomeOption = Annotated[
    Path | None,
    typer.Option("--home", envvar="FOEDUS_AGENT_HOME", help="The agent's folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("enrol")
def enrol_command(
    url: Annotated[str, typer.Argument(help="The hub, as https://hub.example.org")],
    code: Annotated[str, typer.Option(help="One-time code from the organisation's agents page.")],
    name: Annotated[str, typer.Option(help="What the agent is called there.")] = platform.node(),
    home: HomeOption = None,
) -> None:
    """Make this agent's key and enrol it with an organisation."""
    identity = asyncio.run(enrol(Home.found(home), url=url, code=code, name=name or "agent"))
    _say(f"Enrolled as {identity.name} of {identity.organisation_name}.")
    _say("Next: foedus-agent data add FEDERATION FOLDER, then foedus-agent run.")


@app.command()
def run(
    home: HomeOption = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")] = "auto",
    url: Annotated[str | None, typer.Option(help="The hub's new address, if it moved.")] = None,
) -> None:
    """Work until told to stop (SIGTERM or Ctrl-C)."""
    from agent.running import run_agent

    logs.configure()
    folder = Home.found(home)
    if url and checked_url(url) != (identity := folder.identity()).hub:
        folder.keep_identity(identity.model_copy(update={"hub": checked_url(url)}))
    asyncio.run(run_agent(folder, device=device))


@app.command()
def pause(home: HomeOption = None) -> None:
    """Take no more work; what is being done now goes on to its end."""
    Home.found(home).pause_file.touch()
    _say("Paused. foedus-agent resume takes work again.")


@app.command()
def resume(home: HomeOption = None) -> None:
    """Take work again."""
    Home.found(home).pause_file.unlink(missing_ok=True)
    _say("Taking work.")


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show who this agent is, whether it runs, and what it is doing."""
    facts = _facts(Home.found(home))
    if as_json:
        print(json.dumps(facts, indent=2))
    else:
        _say_facts(facts)
    if not facts["running"]:
        raise typer.Exit(EXIT_STOPPED)


def _say_facts(facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if name != "tasks":
            _say(f"{name.replace('_', ' '):<14} {_told(value)}")
    for task in facts["tasks"]:
        _say(
            f"{'task':<14} {task['type']} for {task['federation']}, round {task['round']}: "
            f"{task['phase']} {task['step']}/{task['steps']}"
        )


def _facts(home: Home) -> dict[str, Any]:
    identity = home.identity()
    return {
        "agent": identity.name,
        "organisation": identity.organisation_name,
        "hub": identity.hub,
        "hub_answers": asyncio.run(_answers(identity.hub)),
        "running": home.is_running,
        "paused": home.is_paused,
        "version": __version__,
        "key_id": identity.key_id,
        "federations": sorted(registered(home.data_file)),
        "receipts": len(list(home.receipts.glob("*.json"))),
        "tasks": [_task_facts(entry) for entry in Journal(home.tasks).entries()],
    }


async def _answers(hub: str) -> bool:
    async with HubClient(hub) as client:
        try:
            await client.request("GET", "/livez", patience=0, answer_seconds=5)
        except (Away, Refused):
            return False
    return True


def _task_facts(entry: Entry) -> dict[str, Any]:
    offer, progress = entry.offer, entry.progress
    return {
        "id": str(offer.id),
        "type": str(offer.spec.type),
        "federation": offer.federation,
        "round": offer.round,
        "phase": "sending" if entry.outcome else progress.phase,
        "step": progress.step,
        "steps": progress.steps,
    }


@data.command("add")
def data_add(
    federation: Annotated[str, typer.Argument(help="The federation's short name (slug).")],
    folder: Annotated[Path, typer.Argument(help="Folder with train and test files.")],
    *,
    text: Annotated[str, typer.Option(help="Column of the texts or answers.")] = "text",
    label: Annotated[str, typer.Option(help="Column of the labels.")] = "label",
    prompt: Annotated[str, typer.Option(help="Column of the prompts, if there is one.")] = "prompt",
    home: HomeOption = None,
) -> None:
    """Let a federation train on a local folder; the mapping stays on this machine."""
    chosen = found_in(folder, text=text, label=label, prompt=prompt)
    counts = {part: _count(chosen, part) for part in PARTS if chosen.file(part).exists()}
    register(Home.found(home).data_file, federation, chosen)
    told = ", ".join(f"{count} {part}" for part, count in counts.items())
    _say(f"{federation}: {told} examples in {chosen.folder}")


def _count(chosen: DataSet, part: Part) -> int:
    rows = read_rows(chosen.file(part))
    if rows and chosen.text not in rows[0]:
        raise AgentFault(f"{chosen.file(part)} has no column {chosen.text!r}: use --text.")
    return len(rows)


@data.command("list")
def data_list(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List the federations and the local folders they may use."""
    known = registered(Home.found(home).data_file)
    if as_json:
        print(json.dumps({slug: asdict(found) for slug, found in known.items()}, default=str))
        return
    table = Table("federation", "folder", "train", "test", "text", "label", "prompt")
    for slug, found in sorted(known.items()):
        table.add_row(slug, *map(str, asdict(found).values()))
    Console().print(table if known else "None yet: foedus-agent data add FEDERATION FOLDER")


def _say(text: str) -> None:
    print(text, flush=True)


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def main() -> None:
    """Run a command; the exit codes are those of docs/agent.md."""
    try:
        app()
    except (AgentFault, DataRefused) as fault:
        _leave(str(fault), EXIT_FAULT)
    except Refused as refusal:
        _leave(f"The hub refused: {refusal.detail or refusal.code} ({refusal.code})", EXIT_REFUSED)
    except Away as away:
        _leave(f"The hub does not answer: {away.cause}", EXIT_AWAY)


def _leave(told: str, code: int) -> NoReturn:
    print(told, file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
