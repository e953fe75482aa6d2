"""A site that reaches its hub over a line that a test can cut: Grace's agent with large updates.

It has a web process of the hub for itself, with the usual size of parts; all else is the stack's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket
from typing import Any
from uuid import UUID

from agent.datasets import found_in, register
from agent.enrolment import enrol
from agent.home import Home
from hub.demo.agents import command
from hub.embedded.ports import port_of, wait_for_url
from hub.operations.processes import commands, listening, source_path
from tests.agent import tiny
from tests.system.lines import Line
from tests.system.stack import Stack, plan

WEB, AGENT = "web-far", "agent-far"
USUAL_PART = str(16 << 20)


@dataclass(frozen=True, slots=True)
class Site:
    stack: Stack
    line: Line
    url: str  # of the hub, as the site sees it
    home: Home

    @property
    def agent(self) -> UUID:
        return self.home.identity().agent

    def start_run(self, *, megabytes: int, seed: int = 1) -> UUID:
        """A run of one round, whose only update has so many megabytes."""
        return start_wide_run(self.stack, "grace", megabytes=megabytes, seed=seed, max_steps=1)

    def uploads(self) -> list[dict[str, Any]]:
        """What this agent has begun to send, the last first."""
        query = "SELECT * FROM catalogue_upload WHERE agent_id = %s ORDER BY created_at DESC"
        return self.stack.sql(query, self.agent)

    def logged(self) -> str:
        return self._log.read_text()

    def start_agent(self) -> None:
        words = ("run", "--device", "cpu", "--url", self.url)
        self.stack.supervisor.start(
            AGENT,
            [*self.line.prefix, *command(self.home.folder, *words)],
            env={"PYTHONPATH": source_path(), "OMP_NUM_THREADS": "1"},
            log=self._log,
            restart=False,
        )

    def enrol(self) -> None:
        """At the hub's own address, as if the site had been moved to the line's end later."""
        house = self.stack.facts["people"]["grace"]["organisation"]
        code = self.stack.grace_herself.post(f"/organisations/{house}/enrolment-codes")["code"]
        name = self.home.folder.name
        asyncio.run(enrol(self.home, url=self.stack.url, code=code, name=name))
        data = tiny.make_data(self.stack.folder / "data" / name, rows=16)
        chosen = found_in(data, text="text", label="label", prompt="prompt")
        register(self.home.data_file, self.stack.facts["wide"]["slug"], chosen)

    @property
    def _log(self) -> Path:
        return self.stack.folder / "hub" / "logs" / f"{self.home.folder.name}.log"


def start_wide_run(
    stack: Stack, name: str, *, megabytes: int, seed: int = 1, **training: object
) -> UUID:
    """A run of one round on the wide base model, in which one organisation trains."""
    wide = stack.facts["wide"]
    chosen = wide_plan(megabytes=megabytes, seed=seed, **training)
    who = {"trainers": [wide["participations"][name]], "evaluators": []}
    return stack.start_run(chosen, federation=wide["federation"], **who)


def wide_plan(*, megabytes: int, seed: int = 1, **training: object) -> dict[str, Any]:
    """One round of one organisation, whose update has so many megabytes."""
    return plan(
        count=1,
        every="never",
        seed=seed,
        adapter={"rank": megabytes, "targets": ["intermediate.dense", "output.dense"]},
        aggregation={"strategy": "fedavg"},
        training=training,
        rounds={"quorum": 1, "deadline_seconds": 1800},
    )


@contextmanager
def site_at(stack: Stack, line: Line, name: str, settings: Mapping[str, str]) -> Iterator[Site]:
    """Have the site's agent running at the end of a line; `settings` are its web process's."""
    with listening(line.host, 0) as listener:
        url = serve(stack, line, listener, settings)
        site = Site(stack, line, url, Home.found(stack.folder / "agents" / name))
        try:
            site.enrol()
            site.start_agent()
            try:
                yield site
            finally:
                stack.supervisor.stop(AGENT)
        finally:
            stack.supervisor.stop(WEB)


def serve(stack: Stack, line: Line, listener: socket, settings: Mapping[str, str]) -> str:
    """Start another web process, at the near end of a line; returns its address at the far end."""
    near = f"http://{line.host}:{port_of(listener)}"
    url = line.lead_to(near)
    stack.supervisor.start(
        WEB,
        [*commands()["web"], "--fd", str(listener.fileno())],
        env={
            **stack.environment,
            "UPLOAD_CHUNK_BYTES": USUAL_PART,
            "ALLOWED_HOSTS": line.host,
            **settings,
        },
        log=stack.folder / "hub" / "logs" / f"{WEB}.log",
        sockets=[listener],
    )
    wait_for_url(f"{near}/readyz")
    return url
