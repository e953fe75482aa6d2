"""What evaluations come to, on the page and in the API, and who sees which of it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import reverse

from federation.plan import Lora, Plan, Rounds, SequenceClassification, Server, Training
from federation.plan_gates import Gates
from hub.catalogue.models import ModelVersion
from hub.common.errors import NotFound
from hub.runs import services
from hub.runs.errors import NotComparable
from hub.runs.models import Run
from hub.runs.services.alone import alone_plan, train_alone
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.hub.runs.test_gates import ASKED, HARM, measure, played, version_of
from tests.hub.runs.world import World, make_world
from tests.pages import browser, words

MOST_QUERIES = 10


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path)


def page_of(version: ModelVersion) -> str:
    return reverse("catalogue:evaluation", args=[version.pk])


def test_the_page_says_what_was_found_in_few_queries(
    world: World, django_assert_max_num_queries
) -> None:
    version = version_of(played(world, *HARM))
    client = browser(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        response = client.get(page_of(version))
    page = words(response)
    assert "Accuracy 78.2% over 220 test examples" in page
    assert f"Served least 10.0% {world.sites[2].agent.organisation.name}" in page
    assert "Best less worst 80.0 points" in page
    assert "Macro F1" in page
    assert "Against the start of the run +28.2 points 95 % sure: +" in page
    assert "+40.0 points" in page
    assert re.search(r"Each organisation, beside the release .*−40\.0 points .* Failed", page)
    assert "All organisations together" in page
    assert not re.search(r'style="', response.content.decode())


def test_a_table_shows_what_is_taken_for_what(world: World) -> None:
    version = version_of(played(world, *HARM))
    page = words(browser(world.lead).get(page_of(version)))
    assert "ham 86 24 spam 24 86" in page


def test_of_two_organisations_nobody_learns_the_other_s_counts(tmp_path: Path, db: None) -> None:
    world = make_world(tmp_path, members=2)
    version = version_of(played(world, (100, {"1": 0.9}), (20, {"1": 0.4})))
    page = words(browser(world.lead).get(page_of(version)))
    own, other = (site.agent.organisation.name for site in world.sites)
    assert "All organisations together" not in page
    assert f"{own} by itself" in page
    assert f"{other} by itself" not in page
    assert "once three organisations have measured" in page


def test_small_counts_are_told_to_nobody_else(world: World) -> None:
    version = version_of(played(world, *((20, {"1": 0.9}),) * 3))
    found = client_of(world.lead).get(f"/api/v1/versions/{version.pk}/evaluation").json()
    together, own = found["by_label"]
    assert [one["count"] for one in own["mistakes"]] == [1, 1]
    assert [one["count"] for one in together["mistakes"]] == [None, None]


def test_the_api_sums_it_up(world: World, django_assert_max_num_queries) -> None:
    version = version_of(played(world, *HARM))
    client = client_of(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        found = client.get(f"/api/v1/versions/{version.pk}/evaluation").json()
    assert found["accuracy"] == pytest.approx(172 / 220)
    assert found["worst"] == world.sites[2].agent.organisation.slug
    assert [one["examples"] for one in found["organisations"]] == [100, 100, 20]
    assert found["gain"]["value"] == pytest.approx(62 / 220)
    assert found["gain"]["lower"] < found["gain"]["value"] < found["gain"]["upper"]
    assert [one["verdict"] for one in found["gates"]] == ["pass", "fail"]
    assert found["dispersion"]["width"] == pytest.approx(0.8)
    assert (found["missing"], found["area_under_curve"]) == ([], 0.5)


def test_strangers_find_nothing(world: World) -> None:
    run = played(world, *HARM)
    version, stranger = version_of(run), UserFactory()
    assert browser(stranger).get(page_of(version)).status_code == 404
    client = client_of(stranger)
    assert client.get(f"/api/v1/versions/{version.pk}/evaluation").status_code == 404
    assert client.post(f"/api/v1/runs/{run.pk}/alone").status_code == 404
    with pytest.raises(NotFound):
        train_alone(user=stranger, run_id=run.pk)


def test_a_version_that_nobody_measured_has_a_page_that_says_so(world: World) -> None:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    version = version_of(run)
    page = words(browser(world.lead).get(page_of(version)))
    assert "Not measured" in page
    answer = client_of(world.lead).get(f"/api/v1/versions/{version.pk}/evaluation").json()
    assert (answer["value"], answer["organisations"], answer["worst"]) == (None, [], None)


# ------------------------------------------------------------------ alone


def play_alone(world: World, run: Run, shares: dict[str, float]) -> None:
    """Each organisation's own run, in which all find what it reaches."""
    for site in world.sites:
        one = run.comparisons.get(trainers__contains=[place_of(world, site)])
        services.run_prepared(run_id=one.pk, start=world.start())
        world.train(site)
        world.aggregate(one)
        for other in world.sites:
            measure(world, other, 20, shares)
        services.advance_run(run_id=one.pk)


def place_of(world: World, site) -> object:
    return world.federation.participations.get(organisation=site.agent.organisation).pk


def test_what_each_reaches_alone_stands_beside_what_they_reach_together(world: World) -> None:
    run = played(world, *((20, {"1": 0.9}),) * 3, gates=Gates())
    version, client = version_of(run), browser(world.lead)
    assert "What would each organisation reach alone?" in words(client.get(page_of(version)))
    answer = client.post(reverse("runs:alone", args=[run.pk]))
    assert answer.url == page_of(version)
    assert "training alone" in words(client.get(page_of(version)))
    play_alone(world, run, {"1": 0.6})
    found = client_of(world.lead).get(f"/api/v1/versions/{version.pk}/evaluation").json()
    assert {one["alone"] for one in found["organisations"]} == {0.6}
    assert {one["alone_on_all"] for one in found["organisations"]} == {0.6}
    page = words(client.get(page_of(version)))
    assert "Together Alone Alone, on everybody's data" in page
    assert "90.0% 60.0% 60.0%" in page
    assert set(run.comparisons.values_list("purpose", "state")) == {("solo", "completed")}


def test_asked_twice_they_train_once(world: World) -> None:
    run = played(world, *((20, {}),) * 3, gates=Gates())
    first = train_alone(user=world.lead, run_id=run.pk)
    assert train_alone(user=world.lead, run_id=run.pk) == first
    assert len(first) == 3
    assert {one.trainers[0] for one in first} == set(run.trainers)
    services.cancel_run(user=world.lead, run_id=first[0].pk)
    again = train_alone(user=world.lead, run_id=run.pk)
    assert again[1:] == first[1:]
    assert again[0] != first[0]


def test_only_a_complete_run_of_all_is_compared(world: World) -> None:
    run = world.start_run()
    with pytest.raises(NotComparable, match="running"):
        train_alone(user=world.lead, run_id=run.pk)
    services.cancel_run(user=world.lead, run_id=run.pk)
    done = played(world, *((20, {}),) * 3, gates=Gates())
    solo = train_alone(user=world.lead, run_id=done.pk)[0]
    with pytest.raises(NotComparable, match="comparison itself"):
        train_alone(user=world.lead, run_id=solo.pk)


def plan(**changes: object) -> Plan:
    return Plan(
        **{
            "task": SequenceClassification(labels=("ham", "spam")),
            "rounds": Rounds(count=5, quorum=3, late="count", buffer=3),
            "training": Training(epochs=2.0, max_steps=10),
            **changes,
        }
    )


def test_alone_is_the_same_work_in_one_task_without_peers() -> None:
    alone = alone_plan(plan(server=Server(optimiser="diloco"), gates=ASKED))
    assert (alone.rounds.count, alone.rounds.quorum, alone.rounds.buffer) == (1, 1, None)
    assert (alone.training.epochs, alone.training.max_steps) == (10.0, 50)
    assert (alone.server, alone.gates) == (Server(), Gates())
    assert (alone.task, alone.adapter, alone.seed) == (plan().task, Lora(), 0)
    turns = plan(
        rounds=Rounds(count=4),
        aggregation={"strategy": "rolora"},
        training=Training(epochs=1.0),
    )
    assert alone_plan(turns).rounds.count == 4
    long = plan(training=Training(epochs=50.0))
    assert alone_plan(long).training.epochs == 50.0
