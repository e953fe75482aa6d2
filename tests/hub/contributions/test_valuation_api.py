"""Valuations over the API: who sees them, who asks for them, and what can be had."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse
from rest_framework.test import APIClient

from federation.plan import Rounds, ValuationSpec
from federation.valuation.documents import replay
from hub.contributions.models import CoalitionScore, Valuation
from hub.contributions.valued import values_of
from hub.runs.models import Run
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.contributions.valued import make_valued, only, played, work
from tests.hub.runs.probed import ProbedWorld
from tests.pages import browser, words

pytestmark = pytest.mark.django_db
URL = "/api/v1/valuations"
TWO = Rounds(count=1, quorum=2)


@pytest.fixture
def world(db: None, tmp_path: Path) -> ProbedWorld:
    return make_valued(tmp_path, members=2)


def member_of(world: ProbedWorld) -> APIClient:
    """Somebody of an organisation that does not lead."""
    return client_of(MembershipFactory(organisation=world.sites[1].agent.organisation).user)


def test_members_see_values_and_compute_them_again(world: ProbedWorld) -> None:
    run = played(world, rounds=TWO)
    work()
    api, stranger = member_of(world), client_of(UserFactory())
    (found,) = api.get(f"{URL}?federation={run.federation_id}").data["results"]
    assert (found["state"], found["planned"], found["measured"]) == ("recorded", 4, 4)
    record = api.get(f"{URL}/{found['id']}/record").json()["record"]
    told = {one["participation"]: one["value"] for one in found["values"]}
    again = replay(record).contributions
    assert {str(player): value for player, value in told.items()} == {
        player: one.value for player, one in again.items()
    }
    assert api.get(f"{URL}/{found['id']}/answers").json() == {"answers": []}
    worths = api.get(f"/api/v1/federations/{run.federation_id}/valuations").json()
    assert {one["participation"]: one["value"] for one in worths["cumulated"]} == pytest.approx(
        {str(player): value for player, value in told.items()}
    )
    for path in (f"{URL}/{found['id']}", f"{URL}/{found['id']}/record"):
        assert stranger.get(path).status_code == 404
    assert stranger.get(f"/api/v1/federations/{run.federation_id}/valuations").status_code == 404


def test_the_lead_has_an_old_round_valued_in_another_way(world: ProbedWorld) -> None:
    run = played(world, rounds=TWO)
    work()
    first = Valuation.objects.get()
    lead = client_of(world.lead)
    member = member_of(world)
    for method in ("leave_one_out", "gradient_alignment", "cgsv"):
        body = {"round": str(only(run).pk), "spec": {"method": method, "examples": 30}}
        assert member.post(URL, body, format="json").status_code == 403
        asked = lead.post(URL, body, format="json")
        assert (asked.status_code, asked.data["is_planned"]) == (202, False)
        assert lead.post(URL, body, format="json").data["id"] == asked.data["id"]
        work()
        found = Valuation.objects.get(pk=asked.data["id"])
        assert (found.state, found.failure_detail) == ("recorded", "")
        assert {value.participation_id for value in found.values.all()} == {
            value.participation_id for value in first.values.all()
        }
    known = CoalitionScore.objects.filter(valuation__method="leave_one_out")
    assert set(known.values_list("attempts", flat=True)) == {0}  # nothing was measured twice
    (shown,) = values_of(run).rounds
    assert shown.valuation == first
    refused = lead.post(URL, {"round": str(only(run).pk), "spec": {"method": "none"}}, "json")
    assert refused.json()["type"].endswith("not_valuable")


def test_a_federation_without_a_probe_set_is_told_so(world: ProbedWorld) -> None:
    world.federation.probes.all().delete()
    run = played(world, rounds=TWO)
    work()
    found = Valuation.objects.get()
    assert (found.state, found.failure_code) == ("failed", "no_probe")
    assert values_of(run).failed == [found]
    assert client_of(world.lead).get(f"{URL}/{found.pk}").data["failure_code"] == "no_probe"


def test_where_orders_are_sampled_each_wave_asks_for_the_next(world: ProbedWorld) -> None:
    sampled = ValuationSpec(method="guided_permutations", examples=30)
    run = played(world, sampled, rounds=TWO)
    work()
    found = Valuation.objects.get()
    assert (found.state, found.failure_detail) == ("recorded", "")
    rows = list(found.scores.order_by("pk"))
    assert [row.coalition for row in rows[:2]] == [[], [0, 1]]  # the ends come first
    assert found.evaluations == len(rows) > 2
    assert values_of(run).method == "guided_permutations"


@pytest.mark.parametrize("has_probe", [True, False])
def test_a_run_without_a_probe_set_says_so_while_it_can_be_helped(
    world: ProbedWorld, *, has_probe: bool
) -> None:
    if not has_probe:
        world.federation.probes.all().delete()
    page = reverse("runs:detail", args=[played(world, rounds=TWO).pk])
    shown = []
    for state in ("running", "completed"):
        Run.objects.update(state=state)
        shown.append("Contributions cannot be measured" in words(browser(world.lead).get(page)))
    assert shown == [not has_probe, False]
