"""What the contributions to a round were worth, measured by workers on a public set."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from django.utils import timezone

from federation.plan import Aggregation, Rounds, canonical
from federation.valuation.documents import replay
from hub.common.models import OutboxMessage
from hub.contributions.models import CoalitionScore, Valuation, Value
from hub.contributions.valuations import measuring
from hub.contributions.valuations.resuming import resume_valuations
from hub.dispatch import Job
from hub.ledger.models import Entry
from jobs.valuing import _begin, conclude, value
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
    assert len({v.participation_id for v in values}) == len(world.sites)
    assert sum(v.phi for v in values) == pytest.approx(found.worth)
    assert all(v.low < v.phi < v.high for v in values)


def test_the_ledger_has_all_that_the_values_follow_from(world: ProbedWorld) -> None:
    run = played(world)
    work()
    found = valuation_of(run)
    entry = Entry.objects.get(ledger=run.federation_id, key=f"valuation:{found.pk}")
    told = json.loads(entry.payload)
    again = replay(told["record"])
    assert [
        (player, one.value, one.lower, one.upper) for player, one in again.contributions.items()
    ] == [(v["participation"], v["value"], v["lower"], v["upper"]) for v in told["values"]]
    assert told["record_sha256"] == sha256(canonical(told["record"])).hexdigest()
    assert Valuation.objects.get().stacked is None  # its bytes are let go


def test_the_game_knows_nothing_of_what_the_rule_made_of_the_updates(world: ProbedWorld) -> None:
    """VAL-13."""
    robust = Aggregation(combination="median")
    phis = []
    for aggregation in (Aggregation(), robust):
        run = played(world, aggregation=aggregation, rounds=Rounds(count=1, quorum=3))
        work()
        found = Valuation.objects.get(round__run=run)
        assert found.state == "recorded", found.failure_detail
        phis.append({v.participation_id: (v.phi, v.low, v.high) for v in found.values.all()})
    assert phis[0] == phis[1]


def test_a_worker_that_died_costs_its_batch_and_changes_no_value(world: ProbedWorld) -> None:
    run = played(world)
    found = valuation_of(run)
    value(found.pk)  # begins and measures all; a second valuation shall be cut off
    calm = {v.participation_id: v.phi for v in found.values.all()}
    CoalitionScore.objects.all().delete()
    Value.objects.all().delete()
    Valuation.objects.update(state="queued", attempts=0)
    _begin(found.pk)
    batch = measuring.claim_batch(valuation_id=found.pk)
    assert batch
    assert len(batch.wanted) == 8
    assert measuring.claim_batch(valuation_id=found.pk) is None  # held
    conclude(found.pk)
    assert valuation_of(run).state == "measuring"
    CoalitionScore.objects.update(claimed_until=timezone.now() - timedelta(seconds=1))
    OutboxMessage.objects.filter(job=Job.VALUE_ROUND).update(
        created_at=timezone.now() - timedelta(hours=1)
    )
    assert resume_valuations() == 1
    assert resume_valuations() == 0  # it is on its way
    work()
    assert {v.participation_id: v.phi for v in valuation_of(run).values.all()} == calm
