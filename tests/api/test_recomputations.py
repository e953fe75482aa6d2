"""Closed rounds computed again, through the API."""

from __future__ import annotations

import pytest

from hub.runs.models import Comparison, Recomputation
from tests.conftest import client_of
from tests.hub.runs.test_recomputing import only, work
from tests.hub.runs.world import World, make_world, plan_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None, tmp_path) -> World:
    return make_world(tmp_path)


@pytest.fixture
def path(world: World) -> str:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    return f"/api/v1/rounds/{only(run).pk}"


def test_methods_are_listed_computed_and_read(world: World, path: str) -> None:
    api = client_of(world.lead)
    own, *others = api.get(f"{path}/methods").json()["methods"]
    assert own == {"key": "stack_svd", "is_own": True}
    assert {"key": "fedavg", "is_own": False} in others
    asked = api.post(f"{path}/recompute", {"methods": ["fedavg"]})
    assert (asked.status_code, asked.json()["recomputations"][0]["state"]) == (202, "queued")
    work()
    (row,) = api.get("/api/v1/recomputations", {"state": "computed"}).json()["results"]
    assert (row["key"], row["is_reproduced"]) == ("fedavg", None)
    assert row["report"]["relative_error"] >= 0
    assert row["size_bytes"] > 0
    assert api.get("/api/v1/recomputations", {"is_own": True}).json()["results"] == []


def test_a_replay_says_whether_it_was_reproduced(world: World, path: str) -> None:
    api = client_of(world.lead)
    asked = api.post(f"{path}/replay").json()
    assert (asked["is_own"], asked["is_reproduced"]) == (True, None)
    work()
    row = api.get(f"/api/v1/recomputations/{asked['id']}").json()
    assert row["is_reproduced"] is True
    Recomputation.objects.update(digest="f" * 64)
    assert api.get(f"/api/v1/recomputations/{asked['id']}").json()["is_reproduced"] is False


def test_the_evidence_of_a_round_is_there_for_its_members(world: World, path: str) -> None:
    found = client_of(world.lead).get(f"{path}/comparison").json()
    evidence = Comparison.objects.get().evidence
    assert found["digests"] == list(evidence.digests)
    assert found["cosines"] == evidence.cosines
    assert found["norms"] == evidence.norms


def test_strangers_find_nothing(world: World, path: str) -> None:
    stranger = client_of(make_world(world.folder).lead)
    assert stranger.get(f"{path}/comparison").status_code == 404
    assert stranger.get(f"{path}/methods").status_code == 404
    assert stranger.post(f"{path}/replay").status_code == 404
    assert stranger.post(f"{path}/recompute", {"methods": ["fedavg"]}).status_code == 404
    client_of(world.lead).post(f"{path}/replay")
    assert stranger.get("/api/v1/recomputations").json()["results"] == []
    row = Recomputation.objects.get()
    assert stranger.get(f"/api/v1/recomputations/{row.pk}").status_code == 404


def test_an_open_round_is_refused_with_a_code(world: World) -> None:
    run = world.start_run()
    answer = client_of(world.lead).post(f"/api/v1/rounds/{only(run).pk}/replay")
    assert (answer.status_code, answer.json()["code"]) == (409, "round_open")
    missing = client_of(world.lead).get(f"/api/v1/rounds/{only(run).pk}/comparison")
    assert missing.status_code == 404


def test_an_unknown_method_is_refused(world: World, path: str) -> None:
    answer = client_of(world.lead).post(f"{path}/recompute", {"methods": ["magic"]})
    assert answer.status_code == 422
    assert "magic is not among" in answer.json()["detail"]
