"""Who this agent is: enrol."""

from __future__ import annotations

import asyncio
import platform
from typing import Annotated

import typer

from agent.commands.shared import HomeOption, JsonOption, answer
from agent.enrolment import enrol
from agent.home import Home


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


def add_to(app: typer.Typer) -> None:
    app.command("enrol")(enrol_command)
