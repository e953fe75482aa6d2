"""`foedus-agent doctor`: every check, one after the other, whatever becomes of the others."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from agent.checks import Check, Finding, Site, State, checks, problem
from agent.errors import AgentFault, Away, DataRefused, Refused
from agent.home import Home


@dataclass(frozen=True, slots=True)
class Line:
    """What one check found."""

    check: str
    state: State
    says: str
    do: str


def examine(home: Home) -> Iterator[Line]:
    """Each finding as soon as it is made."""
    site = Site(home)
    for name, check in checks.items():
        for found in _found(check, site):
            yield Line(name, found.state, found.says, found.do)


def _found(check: Check, site: Site) -> list[Finding]:
    try:
        return list(check(site))
    except (AgentFault, DataRefused) as fault:
        return [problem(str(fault), "The line above says it, or docs/agent.md.")]
    except (Refused, Away):
        return [problem("It cannot be said without the hub.", "See the line about the hub.")]
    except subprocess.TimeoutExpired:
        return [problem("It took too long.", "Try again while the machine is less busy.")]
    except Exception as error:  # noqa: BLE001 (the edge: no check may stop the others)
        return [problem(f"The check itself failed ({type(error).__name__}).", "Tell us, please.")]
