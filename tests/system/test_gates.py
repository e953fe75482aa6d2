"""What joining is worth, and a version that harms the smallest organisation, with real agents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

import pytest

from agent.datasets import found_in, register
from tests.agent import tiny
from tests.system.people import Person
from tests.system.stack import ROWS, Stack, plan

pytestmark = pytest.mark.system

SMALL, LARGE = ROWS  # by their examples
NAMES = {name: f"{name.title()} & Co" for name in ROWS}
TEST_ROWS = {name: rows // 3 for name, rows in ROWS.items()}
LEARNS = {"epochs": 12.0, "max_steps": None}
ASKED = {"below_release_at_most": 0.0, "organisation_below_release_at_most": 0.2}
Federation = Mapping[str, Any]


@pytest.fixture(scope="module")
def delta(stack: Stack) -> Federation:
    """A federation of the two that have agents, apart from that of other tests."""
    (base,) = (one["id"] for one in stack.ada.all("/base-models") if one["slug"] == "tiny")
    said = {"name": "Delta", "charter": "What is ours stays with us.", "base_model": base}
    federation = stack.ada.post("/federations", {**said, "organisation": house(stack, SMALL)})
    join(stack, federation)
    for name in ROWS:
        let_train(stack, federation, name)
    return dict(federation)


def join(stack: Stack, federation: Federation) -> None:
    signed = {
        "organisation": house(stack, LARGE),
        "charter_digest": federation["charter_digest"],
    }
    person = person_of(stack, LARGE)
    with closing(person.http):
        place = person.post(f"/federations/{federation['id']}/join", signed)
    stack.ada.post(f"/participations/{place['id']}/approve")


def person_of(stack: Stack, name: str) -> Person:
    return Person(stack.url, stack.facts["people"][name]["token"])


def house(stack: Stack, name: str) -> str:
    found: str = stack.facts["people"][name]["organisation"]
    return found


def let_train(
    stack: Stack, federation: Federation, name: str, *, labels: Sequence[str] = tiny.LABELS
) -> None:
    """Give an agent its data; it looks anew before each task."""
    folder = stack.folder / "data" / federation["slug"] / f"{name}-{'-'.join(labels)}"
    data = tiny.make_data(folder, rows=ROWS[name], labels=labels)
    chosen = found_in(data, text="text", label="label", prompt="prompt")
    register(stack.home(name).data_file, federation["slug"], chosen)


def result_of(stack: Stack, federation: Federation, *trainers: str, **options: Any) -> str:
    """The version that a run comes to."""
    document = plan(count=1, training=LEARNS, rounds={"quorum": len(trainers)})
    document |= options.pop("asking", {})
    named = stack.ada.all("/participations", federation=federation["id"])
    places = {one["organisation_name"]: one["id"] for one in named}
    run = stack.start_run(
        document,
        federation=federation["id"],
        trainers=[places[NAMES[name]] for name in trainers],
        evaluators=list(places.values()),
        **options,
    )
    assert stack.wait_for_end(run, seconds=120) == "completed"
    (closed,) = stack.ada.all("/rounds", run=str(run))
    return str(closed["version"])


def found(stack: Stack, version: str) -> dict[str, Any]:
    """What its evaluation came to, with the organisations by name."""
    summary = dict(stack.ada.get(f"/versions/{version}/evaluation"))
    summary["by_name"] = {one["name"]: one for one in summary["organisations"]}
    return summary


@pytest.fixture(scope="module")
def first(stack: Stack, delta: Federation) -> str:
    """A good version of all, released."""
    version = result_of(stack, delta, *ROWS)
    proposal = stack.ada.post("/proposals", release_of(delta, version, "The first"))
    if proposal["state"] == "open":
        person = person_of(stack, LARGE)
        with closing(person.http):
            person.post(f"/proposals/{proposal['id']}/vote", {"choice": "yes"})
    assert stack.ada.get(f"/versions/{version}")["state"] == "released"
    return version


def release_of(federation: Federation, version: str, reason: str) -> dict[str, object]:
    about = {"kind": "release", "terms": {"version": version}, "reason": reason}
    return {"federation": federation["id"], **about}


def test_what_each_reaches_alone_stands_beside_what_they_reach_together(
    stack: Stack, first: str
) -> None:
    run = stack.value("SELECT run_id FROM runs_round WHERE version_id = %s", first)
    alone = [one["id"] for one in stack.ada.post(f"/runs/{run}/alone")]
    assert {stack.wait_for_end(UUID(one), seconds=120) for one in alone} == {"completed"}
    summary = found(stack, first)
    assert {n: one["examples"] for n, one in summary["by_name"].items()} == {
        NAMES[name]: rows for name, rows in TEST_ROWS.items()
    }
    assert summary["value"] > 0.9
    for one in summary["organisations"]:
        assert 0 <= one["alone"] <= 1
        assert 0 <= one["alone_on_all"] <= 1


def test_a_version_that_harms_the_smallest_organisation_is_blocked_with_its_figures(
    stack: Stack, delta: Federation, first: str
) -> None:
    """The larger one calls everything by other names: better for most, useless to the other."""
    let_train(stack, delta, LARGE, labels=[*tiny.LABELS[1:], tiny.LABELS[0]])
    version = result_of(stack, delta, LARGE, asking={"gates": ASKED}, parent_version=first)
    summary = found(stack, version)
    small, large = (summary["by_name"][NAMES[name]] for name in ROWS)
    assert large["value"] > 0.9
    assert small["value"] < 0.2
    assert summary["gain"]["value"] > 0
    whole, each = summary["gates"]
    assert (whole["verdict"], each["verdict"], each["blocks"]) == ("pass", "fail", True)
    assert each["value"] == pytest.approx(small["change"])
    assert each["is_paired"]
    answer = stack.ada.http.post(
        "/proposals",
        json=release_of(delta, version, "Better for most"),
        headers={"Idempotency-Key": version},
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "gates_failed")
    assert NAMES[SMALL] in answer.json()["detail"]
    assert stack.ada.get(f"/versions/{version}")["state"] == "candidate"
    assert stack.ada.get(f"/versions/{first}")["state"] == "released"
