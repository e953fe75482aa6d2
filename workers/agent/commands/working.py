"""Working, pausing, and how it stands: run, worker, pause, resume, status."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

from agent import __version__, logs
from agent.client import HubClient
from agent.commands.shared import Exit, HomeOption, JsonOption, answer, say
from agent.datasets import registered
from agent.devices import CHOICES
from agent.enrolment import checked_url
from agent.errors import Away, Refused
from agent.home import Home
from agent.journal import Entry, Journal
from agent.ledgers import Kept, Ledgers
from agent.policy.words import in_short
from agent.roster import Post, manned

DeviceOption = Annotated[str, typer.Option(help=f"{CHOICES}; a worker for each.")]


def run(
    *,
    home: HomeOption = None,
    device: DeviceOption = "auto",
    url: Annotated[str | None, typer.Option(help="The hub's new address, if it moved.")] = None,
) -> None:
    """Work until told to stop (SIGTERM or Ctrl-C)."""
    from agent.running import run_agent

    logs.configure()
    folder = Home.found(home)
    if url and checked_url(url) != (identity := folder.identity()).hub:
        folder.keep_identity(identity.model_copy(update={"hub": checked_url(url)}))
    asyncio.run(run_agent(folder, device=device))


def worker(*, home: HomeOption = None, device: DeviceOption = "auto") -> None:
    """Train on this machine for an agent that runs on another, until told to stop."""
    from agent.running import run_workers

    logs.configure()
    asyncio.run(run_workers(Home.found(home), device=device))


def pause(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take no more work; what is being done now goes on to its end."""
    Home.found(home).pause_file.touch()
    answer({"paused": True}, "Paused. foedus-agent resume takes work again.", as_json=as_json)


def resume(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Take work again."""
    Home.found(home).pause_file.unlink(missing_ok=True)
    answer({"paused": False}, "Taking work.", as_json=as_json)


def status(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show who this agent is, whether it runs, and what it is doing."""
    facts = _facts(Home.found(home))
    if as_json:
        say(json.dumps(facts, indent=2))
    else:
        _say_facts(facts)
    if not facts["running"]:
        raise typer.Exit(Exit.STOPPED)


def _say_facts(facts: Mapping[str, Any]) -> None:
    for name, value in facts.items():
        if name not in {"tasks", "workers"}:
            say(f"{name.replace('_', ' '):<14} {_told(value)}")
    for one in facts["workers"]:
        say(f"{'worker':<14} {one['name']}: {one['device'] or 'no device yet'}, {one['state']}")
    for task in facts["tasks"]:
        say(
            f"{'task':<14} {task['type']} for {task['federation']}, round {task['round']}: "
            f"{task['phase']} {task['step']}/{task['steps']} on {task['worker']}"
        )


def _facts(home: Home) -> dict[str, Any]:
    identity = home.identity()
    tasks = [_task_facts(entry) for entry in Journal(home.tasks).entries()]
    return {
        "agent": identity.name,
        "organisation": identity.organisation_name,
        "hub": identity.hub,
        "hub_answers": asyncio.run(_answers(identity.hub)),
        "running": home.is_running,
        "paused": home.is_paused,
        "version": __version__,
        "key_id": identity.key_id,
        "policy": in_short(home),
        "federations": sorted(registered(home.data_file)),
        "ledgers": [_ledger(kept) for kept in Ledgers(home).all()],
        "receipts": len(list(home.receipts.glob("*.json"))),
        "workers": [_worker_facts(post, tasks) for post in manned(home)],
        "tasks": tasks,
    }


def _ledger(kept: Kept) -> str:
    return f"{kept.slug} {kept.held.code.upper() if kept.held else kept.size}"


def _worker_facts(post: Post, tasks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    is_busy = any(task["worker"] == post.name for task in tasks)
    state = "starting" if not post.device else "busy" if is_busy else "free"
    return {"name": post.name, "device": post.device, "state": state}


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
        "worker": entry.worker,
        "type": str(offer.spec.type),
        "federation": offer.federation,
        "round": offer.round,
        "phase": "sending" if entry.outcome else progress.phase,
        "step": progress.step,
        "steps": progress.steps,
    }


def _told(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def add_to(app: typer.Typer) -> None:
    for command in (run, worker, pause, resume, status):
        app.command()(command)
