"""`foedus-agent`: what a site engineer types."""

from __future__ import annotations

import sys
from typing import NoReturn

import typer

from agent.commands import data, health, identity, ledger, policy, working
from agent.commands.shared import Exit
from agent.errors import AgentFault, Away, DataRefused, Refused

app = typer.Typer(
    name="foedus-agent", no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__
)
for subject in (identity, working, health):
    subject.add_to(app)
# Groups of commands: a module with an `app` of its own each, one line here.
app.add_typer(data.app, name="data")
app.add_typer(ledger.app, name="ledger")
app.add_typer(policy.app, name="policy")


def main() -> None:
    """Run a command; the exit codes are those of docs/agent.md."""
    try:
        app()
    except (AgentFault, DataRefused) as fault:
        _leave(str(fault), Exit.FAULT)
    except Refused as refusal:
        _leave(f"The hub refused: {refusal.detail or refusal.code} ({refusal.code})", Exit.REFUSED)
    except Away as away:
        _leave(f"The hub does not answer: {away.cause}", Exit.AWAY)


def _leave(told: str, code: Exit) -> NoReturn:
    typer.echo(told, err=True)
    sys.exit(code)


if __name__ == "__main__":
    main()
