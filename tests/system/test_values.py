"""Members who value each other: two real agents, and a third that does nothing and says less."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest

from agent.datasets import found_in, register
from federation.valuation.documents import replay
from tests.agent import tiny
from tests.system.courier import Courier
from tests.system.processes import wait_until
from tests.system.stack import ROWS, Stack, plan

pytestmark = pytest.mark.system

TESTED = 24  # examples that each site tests on


class Guest(Courier):
    """Grace's agent with her tasks of a run in which others train, too."""

    def __init__(self, stack: Stack, run: UUID) -> None:
        self.stack, self.hand, self.run = stack, stack.grace, run
        self.offer = {}


@pytest.fixture
def much_tested(stack: Stack) -> Iterator[None]:
    """Enough examples at both sites that sums over groups of them say something."""
    tests = {}
    for number, name in enumerate(ROWS):
        folder = tiny.make_data(stack.folder / "tested" / name, rows=3 * (TESTED + number))
        tests[name] = folder / "test.csv"
    for name in ROWS:
        place(stack, name, test=tests[name])
    yield
    for name in ROWS:
        place(stack, name)


def place(stack: Stack, name: str, **test: Any) -> None:
    data = found_in(stack.folder / "data" / name, **test)
    register(stack.home(name).data_file, stack.facts["slug"], data)


@pytest.mark.usefixtures("much_tested")
def test_a_null_update_is_worth_nothing_and_who_will_not_measure_is_left_out(stack: Stack) -> None:
    run = stack.start_run(
        plan(
            count=1,
            every="never",
            seed=61,
            rounds={"quorum": 3},
            transfer={"attributable": True},
            valuation={"method": "shapley", "probe": "members", "examples": 24},
        ),
        *ROWS,
        "grace",
    )
    guest = Guest(stack, run)
    guest.lease()
    nothing = guest.start()
    guest.upload(nothing)
    assert guest.submit(nothing).status_code == 201
    accept_what_is_held(stack, run)
    assert stack.wait_for_end(run, seconds=120) == "completed"
    guest.lease()
    assert guest.offer["spec"]["type"] == "value"
    declined = {"code": "declined_by_policy", "detail": "work: the site does not value"}
    told = {"fence": guest.offer["fence"], **declined, "retry": False}
    assert guest.hand.post(f"{guest.task}/failures", told).status_code == 200

    found = recorded(stack, run)
    values = {one["organisation"]: one for one in found["values"]}
    null = values["Grace & Co"]
    assert (null["value"], null["lower"], null["upper"]) == (0.0, 0.0, 0.0)
    others = [values[f"{name.title()} & Co"]["value"] for name in ROWS]
    assert sum(others) == pytest.approx(found["worth"] - found["gap"], abs=1e-9)
    assert max(others) > 0
    answers = {
        one["organisation"]: (one["state"], one["reason"])
        for one in stack.ada.get(f"/valuations/{found['id']}/answers")["answers"]
    }
    assert answers["Grace & Co"] == ("failed", "work: the site does not value")
    assert answers["Ada & Co"][0] == answers["Blaise & Co"][0] == "completed"
    assert computed_again(stack, found["id"]) == {
        one["participation"]: one["value"] for one in found["values"]
    }


def accept_what_is_held(stack: Stack, run: UUID) -> None:
    """An update that changes nothing waits for a person; here she lets it count."""

    def held() -> list[dict[str, Any]]:
        return stack.ada.all("/updates", run=str(run), state="quarantined")

    wait_until(held, seconds=120, what="nothing is held")
    (found,) = held()
    stack.ada.post(f"/updates/{found['id']}/accept", {"reason": "We want to see its value."})


def recorded(stack: Stack, run: UUID) -> dict[str, Any]:
    def valuations() -> list[dict[str, Any]]:
        return stack.ada.all("/valuations", run=str(run))

    def has_ended() -> bool:
        return {one["state"] for one in valuations()} <= {"recorded", "failed"}

    wait_until(has_ended, seconds=120, what="the round is not valued")
    (found,) = valuations()
    assert found["state"] == "recorded", found["failure_detail"]
    return found


def computed_again(stack: Stack, valuation: str) -> dict[str, float]:
    """The values that follow from the ledger's entry alone."""
    query = "SELECT payload FROM ledger_entry WHERE key = %s AND position IS NOT NULL"
    entry = json.loads(stack.value(query, f"valuation:{valuation}"))
    return {player: one.value for player, one in replay(entry["record"]).contributions.items()}
