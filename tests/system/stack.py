"""A whole federation of real processes: services, hub, two agents, and people who use it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from uuid import UUID

import psutil
import psycopg
from psycopg.rows import dict_row

from agent.datasets import DataSet, found_in, register
from agent.enrolment import enrol
from agent.home import Home
from hub.demo.agents import command
from hub.embedded.environment import ledger_keys, secret_key, signing_key
from hub.embedded.services import ServiceUrls, remove, services
from hub.operations.processes import source_path, start_hub
from tests.agent import tiny
from tests.system.people import Hand, Person
from tests.system.processes import ArmedSupervisor, serving, wait_until, without_our_services

ROOT = Path(__file__).parents[2]
QUICK = {
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "0.5",
    "CLAIM_SECONDS": "3",
    "RECONCILE_SECONDS": "0.5",
    "IDLE_TRANSACTION_TIMEOUT_MS": "3000",
    "UPLOAD_CHUNK_BYTES": "4096",  # an update comes in three parts
    "OMP_NUM_THREADS": "1",
}
ENDED = {"completed", "failed", "cancelled"}
WIDTH = 125_000  # of the wide base model: each rank of an adapter of its one layer is a megabyte
MEMBERS = ("ada", "blaise", "grace")
ROWS = {"ada": 16, "blaise": 24}  # who has an agent process, and training examples


@dataclass
class Stack:
    """Everything that runs, and how a test gets at it."""

    folder: Path
    supervisor: ArmedSupervisor
    urls: ServiceUrls
    environment: Mapping[str, str]  # of the hub's processes
    url: str
    facts: Mapping[str, Any]
    hangs_up: ExitStack = field(default_factory=ExitStack)

    @property
    def sockets(self) -> Path:
        return Path(unquote(urlsplit(self.urls.redis_url).path)).parent

    @cached_property
    def ada(self) -> Person:
        return self.person("ada")

    @cached_property
    def carol(self) -> Person:
        return self.person("carol")

    @cached_property
    def grace_herself(self) -> Person:
        return self.person("grace")

    def person(self, name: str) -> Person:
        person = Person(self.url, self.facts["people"][name]["token"])
        self.hangs_up.callback(person.http.close)
        return person

    @cached_property
    def grace(self) -> Hand:
        """The agent of the third member, in a test's hand."""
        return self.hand("grace")

    def hand(self, name: str) -> Hand:
        """An agent of a member that is nothing but its key."""
        self.enrol(name)
        hand = Hand(self.url, self.home(name).private_key())
        self.hangs_up.callback(hand.http.close)
        return hand

    def home(self, name: str) -> Home:
        return Home.found(self.folder / "agents" / name)

    def enrol(self, name: str) -> None:
        code = self.facts["people"][name]["code"]
        asyncio.run(enrol(self.home(name), url=self.url, code=code, name=f"{name}-1"))

    def participation(self, name: str) -> str:
        found: str = self.facts["people"][name]["participation"]
        return found

    def service(self, program: str) -> psutil.Process:
        return serving(self.sockets, program)

    def sql(self, query: str, *values: object) -> list[dict[str, Any]]:
        with self._database() as connection:
            return connection.execute(query, values).fetchall()

    def value(self, query: str, *values: object) -> Any:
        (row,) = self.sql(query, *values)
        return next(iter(row.values()))

    def change(self, query: str, *values: object) -> int:
        with self._database() as connection:
            return connection.execute(query, values).rowcount

    def _database(self) -> psycopg.Connection[dict[str, Any]]:
        return psycopg.connect(
            host=str(self.sockets),
            user="foedus",
            dbname="foedus",
            row_factory=dict_row,
            connect_timeout=5,
        )

    def verified(self, member: Person, *words: str) -> subprocess.CompletedProcess[str]:
        """What a member makes of the ledger's export that the hub gives out now."""
        export = self.folder / "ledger.jsonl"
        path = f"/federations/{self.facts['federation']}/ledger/export"
        export.write_bytes(member.http.get(path).content)
        program = [sys.executable, "-m", "verifier", "ledger", str(export), *words]
        env = {"PYTHONPATH": str(ROOT / "workers")}
        return subprocess.run(program, env=env, capture_output=True, text=True, check=False)

    def start_run(self, plan: Mapping[str, Any], *trainers: str, **options: object) -> UUID:
        """Start a run through the API; the caller repeats until the hub has answered."""
        chosen = trainers or tuple(ROWS)
        run = self.ada.post(
            "/runs",
            {
                "federation": self.facts["federation"],
                "name": "A run",
                "plan": plan,
                "trainers": [self.participation(name) for name in chosen],
                "evaluators": [self.participation(name) for name in ROWS],
                "start": True,
                **options,
            },
        )
        return UUID(run["id"])

    def doings(self, name: str) -> list[Path]:
        """The tasks that an agent is not done with."""
        return list(self.home(name).tasks.glob("*/offer.json"))

    def state(self, run: UUID) -> str:
        found: str = self.value("SELECT state FROM runs_run WHERE id = %s", run)
        return found

    def wait_for_end(self, run: UUID, *, seconds: float = 60) -> str:
        """Wait until the run has ended, and say how; a database that is away is waited for."""

        def has_ended() -> bool:
            try:
                return self.state(run) in ENDED
            except psycopg.OperationalError:
                return False

        wait_until(has_ended, seconds=seconds, what=f"run {run} does not end")
        told = "SELECT kind, reason FROM common_event WHERE run_id = %s AND reason <> ''"
        print(*self.sql(told, run), sep="\n")  # shown where a test fails
        return self.state(run)


def plan(
    *, count: int = 2, every: str = "last", seed: int = 1, **changes: Mapping[str, Any]
) -> dict[str, Any]:
    """A run of the tiny model; a task takes a fraction of a second. `changes` by its section."""
    document = tiny.plan().model_dump(mode="json")
    document["seed"] = seed
    usual: dict[str, Mapping[str, Any]] = {
        "adapter": {"rank": 8},
        "rounds": {"count": count, "quorum": 2, "deadline_seconds": 200, "attempts": 20},
        "evaluation": {"every": every},
    }
    for section in (usual, changes):
        for name, values in section.items():
            document[name] = {**document.get(name, {}), **values}
    return document


@contextmanager
def standing(
    folder: Path,
    base: Path,
    wide: Path,
    *,
    members: Sequence[str] = MEMBERS,
    rows: Mapping[str, int] = ROWS,
) -> Iterator[Stack]:
    """Have everything up, with a federation on each of two base models, until the block ends.

    `rows`: who has an agent process, and how many examples to train on.
    """
    try:
        with services(folder / "hub") as urls, ArmedSupervisor(folder) as supervisor:
            environment = environment_of(folder / "hub", urls)
            facts = prepared([base, wide], members, environment)
            url = start_hub(supervisor, port=0, environment=environment)
            environment |= {"PUBLIC_URL": url, "PYTHONPATH": source_path()}
            stack = Stack(folder, supervisor, urls, environment, url, facts)
            for name, count in rows.items():
                data = tiny.make_data(stack.folder / "data" / name, rows=count)
                start_agent(
                    stack, name, found_in(data, text="text", label="label", prompt="prompt")
                )
            with stack.hangs_up:
                yield stack
            assert fallen(stack) == []
    finally:
        remove(folder / "hub")


def fallen(stack: Stack) -> list[str]:
    """Agents that have ended by a fault of their own; the supervisor would hide that."""
    logs = (stack.folder / "hub" / "logs").glob("agent-*.log")
    return [log.stem for log in logs if "\nTraceback (most" in log.read_text()]


def environment_of(home: Path, urls: ServiceUrls) -> dict[str, str]:
    return {
        **urls.as_environment(),
        **QUICK,
        "FOEDUS_HOME": str(home),
        "SECRET_KEY": secret_key(),
        "HUB_SIGNING_KEY": signing_key(),
        **ledger_keys(home),
    }


def prepared(
    bases: Sequence[Path], members: Sequence[str], environment: Mapping[str, str]
) -> dict[str, Any]:
    """Make the tables and the cast."""
    env = {**without_our_services(), **environment, "DJANGO_SETTINGS_MODULE": "hub.settings"}
    env["PYTHONPATH"] = source_path()
    env["IDLE_TRANSACTION_TIMEOUT_MS"] = "60000"  # Python thinks long between two migrations
    done(["-m", "django", "migrate", "-v", "0"], env)
    facts: dict[str, Any] = json.loads(
        done(["-m", "tests.system.seed", *map(str, bases), *members], env)
    )
    return facts


def done(arguments: list[str], env: Mapping[str, str]) -> str:
    ran = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return ran.stdout


def start_agent(stack: Stack, name: str, data: DataSet) -> None:
    """Enrol an agent, give it data, and start it as its organisation would."""
    stack.enrol(name)
    home = stack.home(name)
    register(home.data_file, stack.facts["slug"], data)
    stack.supervisor.start(
        f"agent-{name}",
        command(home.folder, "run", "--device", "cpu"),
        env={
            "PYTHONPATH": source_path(),
            "OMP_NUM_THREADS": "1",
            "AGENT_CHECKPOINT_SECONDS": "0.2",
            "AGENT_LEDGER_SECONDS": "15",
        },
        log=stack.folder / "hub" / "logs" / f"agent-{name}.log",
    )
