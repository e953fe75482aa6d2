"""Who this agent is: enrol, rotate-key, leave."""

from __future__ import annotations

import asyncio
import platform
from typing import Annotated

import typer

from agent.commands.shared import HomeOption, JsonOption, answer
from agent.enrolment import enrol
from agent.home import Home
from agent.leaving import leave
from agent.rotation import rotate

PATIENCE_SECONDS = 20.0


def enrol_command(
    url: Annotated[str, typer.Argument(help="The hub, as https://hub.example.org")],
    *,
    code: Annotated[str, typer.Option(help="One-time code from the organisation's agents page.")],
    name: Annotated[str, typer.Option(help="What the agent is called there.")] = platform.node(),
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make this agent's key and enrol it with an organisation."""
    identity = asyncio.run(enrol(Home.found(home), url=url, code=code, name=name or "agent"))
    told = (
        f"Enrolled as {identity.name} of {identity.organisation_name}.\n"
        "Next: foedus-agent data add FEDERATION PATH, then foedus-agent run."
    )
    answer(identity.model_dump(mode="json"), told, as_json=as_json)


def rotate_key(*, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Put a new key in the present one's place; the old one is good for a day more."""
    identity, changed = asyncio.run(rotate(Home.found(home), patience=PATIENCE_SECONDS))
    document = {"key_id": identity.key_id, **changed.model_dump(mode="json")}
    until = f"{changed.replaces_until:%Y-%m-%d %H:%M} UTC"
    told = f"The key is {identity.key_id[:16]}… now. The one before it is good until {until}."
    answer(document, told, as_json=as_json)


def leave_command(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Annotated[str, typer.Option(help="Shown on the agent's page.")] = "",
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove receipts, data mapping and policy, too.")
    ] = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Leave the hub for good: hand back what is leased, and remove the key."""
    folder = Home.found(home)
    name = folder.identity().name
    if not yes:
        typer.confirm(f"{name} can only come back with a new code. Leave?", abort=True, err=True)
    identity = asyncio.run(leave(folder, reason=reason, purge=purge))
    document = {"agent": str(identity.agent), "name": identity.name, "left": True}
    kept = "" if purge else f" Receipts and your own files stay in {folder.folder}."
    answer(document, f"{identity.name} has left {identity.hub}.{kept}", as_json=as_json)


def add_to(app: typer.Typer) -> None:
    app.command("enrol")(enrol_command)
    app.command("rotate-key")(rotate_key)
    app.command("leave")(leave_command)
