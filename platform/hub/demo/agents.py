"""The organisations' agents: separate processes with their own keys, folders and data."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hub.accounts.models import User
from hub.demo.world import Place, World
from hub.embedded.supervisor import Supervisor
from hub.federations.services import leave
from hub.organisations.services import make_enrolment_code

# What an agent at an organisation does not have either.
HUB_ONLY = (
    *("DATABASE_URL", "DATABASE_OWNER_URL", "REDIS_URL", "BROKER_URL"),
    *("SECRET_KEY", "HUB_SIGNING_KEY", "MODEL_SIGNING_KEY_FILE", "LEDGER_KEY_FILE"),
)


def start_agents(supervisor: Supervisor, world: World, *, url: str, folder: Path) -> None:
    """Enrol the agents that are new, tell each its data, and start all of them."""
    for place in (*world.places, world.reference):
        home = folder / place.organisation.slug
        if not (home / "agent.json").exists():
            _enrol(place, home=home, url=url)
        _agent(home, "data", "add", world.federation.slug, str(place.data.folder))
        supervisor.start(
            _name(place),
            command(home, "run", "--url", url),
            log=folder / f"{place.organisation.slug}.log",
            env={"OMP_NUM_THREADS": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"},
        )


def let_reference_go(supervisor: Supervisor, world: World) -> None:
    """Nobody has everybody's data: once it was compared with, it takes no part in what follows."""
    place = world.reference
    supervisor.stop(_name(place))
    leave(
        user=_owner(place), participation_id=place.participation.pk, reason="it was compared with"
    )


def _name(place: Place) -> str:
    return f"agent-{place.organisation.slug}"


def command(home: Path, *arguments: str) -> list[str]:
    """The agent's command line, in an environment that knows nothing of the hub's."""
    without = [part for name in HUB_ONLY for part in ("-u", name)]
    agent = [sys.executable, "-P", "-m", "agent.cli", *arguments, "--home", str(home)]
    return ["env", *without, *agent]


def _enrol(place: Place, *, home: Path, url: str) -> None:
    _, code = make_enrolment_code(organisation_id=place.organisation.pk, user=_owner(place))
    _agent(home, "enrol", url, "--code", code, "--name", f"{place.organisation.slug}-1")


def _owner(place: Place) -> User:
    return User.objects.filter(memberships__organisation=place.organisation)[0]


def _agent(home: Path, *arguments: str) -> None:
    done = subprocess.run(
        command(home, *arguments), capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode:
        raise RuntimeError(f"foedus-agent {arguments[0]} failed: {done.stderr.strip()[-500:]}")
