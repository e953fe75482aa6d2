"""What the contributions to a round were worth, measured by workers on a public set."""

from __future__ import annotations

from pathlib import Path

import pytest

from federation.valuation.documents import replay
from tests.hub.contributions.valued import make_valued, played, valuation_of, work
from tests.hub.runs.probed import ProbedWorld

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(db: None, tmp_path: Path) -> ProbedWorld:
    return make_valued(tmp_path)


def test_a_round_is_valued_as_its_plan_says(world: ProbedWorld) -> None:
    run = played(world)
    assert run.state == "completed"  # nothing waited
    assert valuation_of(run).state == "queued"
    work()
    found = valuation_of(run)
    assert (found.state, found.method, found.failure_detail) == ("recorded", "exact", "")
    assert found.scores.count() == found.evaluations == 8
    values = list(found.values.all())
    assert {v.participation_id for v in values} == {s.agent.organisation.participations.get().pk for s in world.sites}
    assert sum(v.phi for v in values) == pytest.approx(found.worth)
    assert all(v.low < v.phi < v.high for v in values)
