"""Versions side by side: changes from the first, what differs, and distances that are measured."""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest
from django.urls import reverse

from federation.plan import Training
from hub.catalogue.blobs.artifacts import adopt_file
from hub.catalogue.errors import VersionsNotComparable
from hub.catalogue.models import Distance, Evaluation, ModelVersion, Tally
from hub.catalogue.versions import distances
from hub.catalogue.versions.distances import apart, ask_distances
from hub.catalogue.versions.lines import with_origin
from hub.common.errors import NotFound
from hub.common.models import OutboxMessage
from hub.runs.compared import Compared
from jobs.compute import measure_distance
from tests.conftest import client_of
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import VersionFactory
from tests.hub.catalogue.test_pages import INLINE, MOST_QUERIES
from tests.hub.runs.world import World, adapter_file, make_world, plan_of
from tests.pages import browser, words


@pytest.fixture
def world(db: None, tmp_path: Path, settings) -> World:
    """Two runs of one round each: the second with another learning rate, and better."""
    settings.BLOB_FOLDER = tmp_path / "blobs"
    made = make_world(tmp_path)
    for plan, correct in ((plan_of(count=1), 4), (faster(), 7)):
        run = made.start_run(plan)
        for site in made.sites:
            made.train(site)
        made.aggregate(run)
        for place, site in enumerate(made.sites):
            made.evaluate(site, correct=correct + place)
    return made


def faster():
    return plan_of(count=1).model_copy(update={"training": Training(learning_rate=0.5)})


def versions(world: World) -> list[ModelVersion]:
    found = with_origin(world.federation.versions.all()).select_related("adapter")
    return list(found.order_by("number"))


def address(world: World, *numbers: int) -> str:
    query = "&".join(f"v={number}" for number in numbers)
    return f"{reverse('runs:compare_versions', args=[world.federation.slug])}?{query}"


def test_changes_are_from_the_first_version_on(world: World) -> None:
    board = Compared(versions(world), world.lead)
    first, second = board.whole.columns
    assert (first.value, first.change) == (pytest.approx(0.5), None)
    assert second.change == pytest.approx(0.3)
    assert [line.columns[1].change for line in board.by_place] == pytest.approx([0.3] * 3)
    assert [(one.label, one.texts) for one in board.differences] == [
        ("Learning rate", ["0.002", "0.5"])
    ]


def test_the_page_costs_few_queries_and_shows_what_differs(
    world: World, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(address(world, 2, 1))
    assert not INLINE.search(page.content.decode())
    text = words(page)
    assert "All together 50.0% 80.0% +30.0 points" in text
    assert "Learning rate" in text
    assert "not measured yet" in text
    for numbers in ((), (1,), (1, 99)):
        assert "Choose two versions" in words(client.get(address(world, *numbers)))
    assert client.get(address(world) + "v=x&v=٣&v=-1&v=" + "9" * 30).status_code == 200
    assert browser(UserFactory()).get(address(world, 1, 2)).status_code == 404
    assert browser().get(address(world, 1, 2)).status_code == 302


def test_the_list_of_versions_leads_to_it(world: World) -> None:
    page = browser(world.lead).get(reverse("catalogue:versions", args=[world.federation.slug]))
    assert f'action="{reverse("runs:compare_versions", args=[world.federation.slug])}"' in (
        page.content.decode()
    )


def test_distances_are_measured_once_for_all_who_ask(world: World) -> None:
    one = versions(world)[0]
    other = VersionFactory(
        federation=world.federation,
        plan=one.plan,
        adapter=adopt_file(path=adapter_file(world.folder, 99)),
    )
    client, url = browser(world.lead), address(world, 1, 3)
    assert client.post(url).status_code == 302
    client.post(url)
    distance = Distance.objects.get()
    assert OutboxMessage.objects.filter(job="compute.measure_distance").count() == 2
    part = reverse("runs:version_distances", args=[world.federation.slug]) + "?v=1&v=3"
    assert "queued" in words(client.get(part))
    for _ in range(2):
        measure_distance(str(distance.pk))
    distance.refresh_from_db()
    assert (distance.state, distance.attempts) == ("computed", 1)
    there, back = apart(distance, "change", one), apart(distance, "change", other)
    assert there.cosine == back.cosine
    assert 0 < there.relative != back.relative
    shown = words(client.get(part))
    assert f"{there.relative:.1%}" in shown
    assert "every 2s" not in client.get(part).content.decode()
    ask_distances(user=world.lead, version_ids=[one.pk, other.pk])
    assert OutboxMessage.objects.filter(job="compute.measure_distance").count() == 2


def test_a_version_is_at_no_distance_from_itself(world: World) -> None:
    one = versions(world)[0]
    twin = VersionFactory(federation=world.federation, adapter=one.adapter, plan=one.plan)
    (distance,) = ask_distances(user=world.lead, version_ids=[one.pk, twin.pk])
    measure_distance(str(distance.pk))
    distance.refresh_from_db()
    for respect in ("change", "values"):
        found = apart(distance, respect, one)
        assert found.relative == 0.0
        assert found.cosine == pytest.approx(1.0)


def test_what_killed_its_worker_is_given_up_and_may_be_asked_again(world: World) -> None:
    ids = [one.pk for one in versions(world)]
    (distance,) = ask_distances(user=world.lead, version_ids=ids)
    for _ in range(distances.MOST_ATTEMPTS):
        assert distances.begin_distance(distance_id=distance.pk)
    assert distances.begin_distance(distance_id=distance.pk) is None
    distance.refresh_from_db()
    assert (distance.state, distance.failure_code) == ("failed", "gave_up")
    (again,) = ask_distances(user=world.lead, version_ids=ids)
    assert (again.pk, again.state, again.attempts) == (distance.pk, "queued", 0)


def test_only_versions_of_ones_own_over_one_base_are_compared(world: World) -> None:
    one, other = versions(world)
    stranger = VersionFactory()
    for ids in ([one.pk, stranger.pk], [one.pk, uuid4()]):
        with pytest.raises(NotFound):
            ask_distances(user=world.lead, version_ids=ids)
    with pytest.raises(VersionsNotComparable):
        ask_distances(user=world.lead, version_ids=[one.pk])
    elsewhere = VersionFactory(federation=world.federation, base_model=stranger.base_model)
    with pytest.raises(VersionsNotComparable):
        ask_distances(user=world.lead, version_ids=[other.pk, elsewhere.pk])
    assert not Distance.objects.exists()


def told_of(world: World, *confusions: list[list[int]]) -> None:
    """Give every organisation's evaluation of each version this confusion."""
    for version, confusion in zip(versions(world), confusions, strict=True):
        statistics = {
            "name": "candidate",
            "examples": sum(count for *_, count in confusion),
            "correct": sum(count for true, said, count in confusion if true == said),
            "loss_sum": 1.0,
            "confusion": confusion,
        }
        for one in Evaluation.objects.filter(version=version):
            Tally.objects.update_or_create(evaluation=one, defaults={"statistics": statistics})


def test_what_versions_confuse_is_set_side_by_side(world: World) -> None:
    told_of(world, [[0, 0, 4], [0, 1, 6], [1, 1, 10]], [[0, 0, 8], [0, 1, 2], [1, 1, 10]])
    board = Compared(versions(world), world.lead)
    assert [(row.words, row.shares) for row in board.recalls] == [("ham", [0.4, 0.8])]
    assert [(row.words, row.shares) for row in board.confusions] == [
        ("ham taken for spam", pytest.approx([0.6, 0.2]))
    ]
    assert "ham taken for spam 60.0% 20.0%" in words(browser(world.lead).get(address(world, 1, 2)))


def test_what_few_organisations_or_examples_confuse_is_not_told(world: World) -> None:
    told_of(world, [[0, 0, 4], [0, 1, 6], [1, 1, 10]], [[0, 0, 9], [0, 1, 1], [1, 1, 10]])
    assert Compared(versions(world), world.lead).confusions == []  # three of thirty
    last = world.federation.participations.order_by("created_at").last()
    Evaluation.objects.filter(participation=last).delete()
    board = Compared(versions(world), world.lead)
    assert (board.recalls, board.confusions) == ([], [])


def test_the_api_says_the_same(world: World) -> None:
    client, path = client_of(world.lead), "/api/v1/version-comparison"
    ids = [str(one.pk) for one in versions(world)]
    query = "&".join(f"version={pk}" for pk in ids)
    found = client.get(f"{path}?{query}").json()
    assert found["all_together"]["values"] == pytest.approx([0.5, 0.8])
    assert [one["number"] for one in found["versions"]] == [1, 2]
    assert found["plan_differences"][0]["texts"] == ["0.002", "0.5"]
    assert found["distances"][0]["state"] is None
    asked = client.post(path, {"versions": ids}, format="json")
    assert (asked.status_code, asked.json()["distances"][0]["state"]) == (202, "queued")
    measure_distance(str(Distance.objects.get().pk))
    (pair,) = client.get(f"{path}?{query}").json()["distances"]
    assert pair["change"] == {"relative": 0.0, "cosine": pytest.approx(1.0)}
    for wrong, status in ((f"version={ids[0]}", 422), ("version=x", 400), ("", 422)):
        assert client.get(f"{path}?{wrong}").status_code == status
    assert client_of(UserFactory()).get(f"{path}?{query}").status_code == 404
