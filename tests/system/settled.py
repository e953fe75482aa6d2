"""A federation of one organisation on an installation: its agent, and a run that comes to its end."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from agent.datasets import found_in, register
from agent.enrolment import enrol
from agent.home import Home
from tests.agent import tiny
from tests.system.installation import Browser, Installation
from tests.system.processes import wait_until
from tests.system.sites import wide_plan


@dataclass(frozen=True, slots=True)
class Settled:
    """Somebody who leads a federation, with an agent that works for it."""

    installation: Installation
    person: Browser
    federation: dict[str, Any]

    def run(self, *, megabytes: int) -> dict[str, Any]:
        """Run one round whose update has so many megabytes; returns the version."""
        (place,) = self.get("/participations", federation=self.federation["id"])
        asked = {
            "federation": self.federation["id"],
            "name": "A run",
            "plan": wide_plan(megabytes=megabytes, max_steps=1),
            "trainers": [place["id"]],
            "evaluators": [],
            "start": True,
        }
        run = self.person.call("/runs", asked)["id"]
        wait_until(
            lambda: self.one(f"/runs/{run}")["state"] == "completed",
            seconds=120,
            every=0.3,
            what="the run does not end",
        )
        (closed,) = self.get("/rounds", run=run)
        return self.one(f"/versions/{closed['version']}")

    def get(self, path: str, **query: str) -> list[dict[str, Any]]:
        answer = self.person.http.get(f"/api/v1{path}", params=query)
        rows: list[dict[str, Any]] = answer.raise_for_status().json()["results"]
        return rows

    def one(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = self.person.http.get(f"/api/v1{path}").raise_for_status().json()
        return found

    def token(self) -> str:
        made: str = self.person.call("/tokens", {"name": "a notebook"})["token"]
        return made


def settle(installation: Installation, person: Browser, *, base: str) -> Settled:
    """Found the organisation and its federation on a base model, and start its agent."""
    house = person.call("/organisations", {"name": "Grace & Co"})["id"]
    found = person.http.get("/api/v1/base-models").raise_for_status().json()["results"]
    (model,) = (one["id"] for one in found if one["slug"] == base)
    said = {"organisation": house, "name": "Estuary", "charter": "Ours.", "base_model": model}
    federation = person.call("/federations", said)
    home = Home.found(installation.folder / "grace")
    code = person.call(f"/organisations/{house}/enrolment-codes", {})["code"]
    asyncio.run(enrol(home, url=installation.url, code=code, name="grace-1"))
    data = tiny.make_data(installation.folder / "data", rows=16)
    register(home.data_file, federation["slug"], found_in(data, text="text", label="label"))
    told = {"FOEDUS_AGENT_HOME": str(home.folder), "FOEDUS_AGENT_DEVICE": "cpu"}
    installation.start("agent", **told)
    return Settled(installation, person, federation)
