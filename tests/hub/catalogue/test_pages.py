from __future__ import annotations

import ast
import re
from pathlib import Path
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.test import AsyncClient
from django.urls import reverse

from federation.plan import CausalLanguageModelling, Plan, SequenceClassification
from hub.catalogue.cards.recipes import loading_code
from hub.catalogue.models import ModelVersion
from hub.catalogue.versions import registry
from hub.catalogue.versions.lines import chart_of_line
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import BaseModelFactory, VersionFactory
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, words

MOST_QUERIES = 10
INLINE = re.compile(
    r"<[a-z][^>]*\s(?:style|on\w+)=|<style|<script(?![^>]*(?:src=|application/json))"
)


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    """A federation that has trained two rounds, and one of one organisation alone."""
    made = make_world(tmp_path)
    run = made.start_run()
    for correct in (4, 7):
        for site in made.sites:
            made.train(site)
        made.aggregate(run)
        for site in made.sites:
            made.evaluate(site, correct=correct)
        made_round(made, run)
    return made


def made_round(world: World, run: object) -> None:
    from hub.runs import services

    services.advance_run(run_id=run.pk)


def alone(world: World) -> ModelVersion:
    place = world.federation.participations.order_by("created_at").last()
    run = world.start_run(plan_of(count=1, quorum=1), purpose="solo", trainers=[place.pk])
    site = next(s for s in world.sites if s.agent.organisation == place.organisation)
    world.train(site)
    world.aggregate(run)
    return ModelVersion.objects.get(is_baseline=True)


def version(world: World, number: int = 2) -> ModelVersion:
    return world.federation.versions.get(number=number)


def member(world: World, place: int) -> object:
    return MembershipFactory(organisation=world.sites[place].agent.organisation).user


def addresses(world: World) -> list[str]:
    slug, found = world.federation.slug, version(world)
    return [
        reverse("catalogue:models"),
        reverse("catalogue:versions", args=[slug]),
        reverse("catalogue:version", args=[found.pk]),
        reverse("catalogue:base", args=[world.federation.base_model.slug]),
    ]


def test_pages_take_few_queries_and_no_inline_code(
    world: World, django_assert_max_num_queries
) -> None:
    alone(world)
    client = browser(world.lead)
    for url in addresses(world):
        with django_assert_max_num_queries(MOST_QUERIES):
            page = client.get(url)
        assert page.status_code == 200
        assert not INLINE.search(page.content.decode())


def test_strangers_find_no_version(world: World) -> None:
    found = version(world)
    urls = [
        reverse("catalogue:versions", args=[world.federation.slug]),
        reverse("catalogue:version", args=[found.pk]),
        reverse("catalogue:download", args=[found.pk, "README.md"]),
        reverse("catalogue:version", args=[uuid4()]),
    ]
    stranger = browser(UserFactory())
    assert {stranger.get(url).status_code for url in urls} == {404}
    for name in ("release", "retire"):
        assert stranger.post(reverse(f"catalogue:{name}", args=[found.pk])).status_code == 404
    assert world.federation.name not in words(stranger.get(reverse("catalogue:models")))


def test_whoever_is_not_signed_in_is_asked_to(world: World) -> None:
    assert {browser().get(url).status_code for url in addresses(world)} == {302}


def test_the_models_page_shows_each_federation_and_base_model(world: World) -> None:
    registry.release_version(user=world.lead, version_id=version(world, 1).pk)
    page = words(browser(world.lead).get(reverse("catalogue:models")))
    assert "Released Version 1 · 40.0%" in page
    assert "Latest Version 2 · 70.0%" in page
    assert "2 versions in the line" in page
    assert world.federation.base_model.licence in page


def test_the_line_is_numbered_with_baselines_apart(world: World) -> None:
    baseline = alone(world)
    client = browser(world.lead)
    url = reverse("catalogue:versions", args=[world.federation.slug])
    line = words(client.get(url))
    assert line.index("Version 2 candidate") < line.index("Version 1 candidate")
    assert "First steps , round 2 Version 1" in line
    assert f"Version {baseline.number} candidate" not in line
    apart = words(client.get(url, {"baselines": ""}))
    assert f"Version {baseline.number} candidate" in apart
    assert "Version 1 candidate" not in apart


def test_each_version_is_compared_with_the_start_of_its_run(world: World) -> None:
    url = reverse("catalogue:versions", args=[world.federation.slug])
    assert "40.0% 70.0% +30.0 points" in words(browser(world.lead).get(url))


def test_a_long_line_has_a_short_chart(world: World) -> None:
    measure, data = chart_of_line(world.federation)
    assert measure.name == "Accuracy"
    assert data["labels"] == ("v1", "v2")
    assert data["series"][0]["values"] == pytest.approx((0.4, 0.7))


def test_an_empty_line_says_what_comes_next(world: World) -> None:
    other = make_world(world.folder)
    url = reverse("catalogue:versions", args=[other.federation.slug])
    page = browser(other.lead).get(url)
    assert "No version yet" in words(page)
    assert reverse("runs:new", args=[other.federation.slug]) in page.content.decode()


def test_a_version_says_where_it_comes_from_and_what_it_can_do(world: World) -> None:
    page = words(browser(world.lead).get(reverse("catalogue:version", args=[version(world).pk])))
    assert "First steps , round 2" in page
    assert "Built on Version 1" in page
    assert "70.0% over 30 test examples" in page
    assert "+30.0 points" in page
    assert "33.3%" in page
    assert "adapter_model.safetensors" in page
    for site in world.sites:
        assert site.agent.organisation.name in page


def test_a_bare_version_has_a_page_too(db: None) -> None:
    bare = VersionFactory()
    lead = bare.federation.participations.get().signed_by
    page = words(browser(lead).get(reverse("catalogue:version", args=[bare.pk])))
    assert "Not measured" in page
    assert "Nobody is on record" in page


def test_the_lead_releases_retires_and_rolls_back(world: World) -> None:
    first, second = version(world, 1), version(world, 2)
    client = browser(world.lead)
    for found in (first, second):
        client.post(reverse("catalogue:release", args=[found.pk]))
    page = words(client.get(reverse("catalogue:version", args=[first.pk])))
    assert "Roll back to it…" in page
    decisions = reverse("catalogue:version_decisions", args=[first.pk])
    assert "v2 is released instead" in words(client.get(decisions))
    url = reverse("catalogue:release", args=[first.pk])
    refused = words(client.post(url, follow=True))
    assert "Say why v1 is to be released again." in refused
    client.post(url, {"reason": "worse for the smallest"})
    first.refresh_from_db()
    assert first.state == "released"
    client.post(reverse("catalogue:retire", args=[first.pk]), {"reason": "done with"})
    assert "done with" in words(client.get(decisions))


def test_who_releases_a_worse_version_is_told_both_figures(world: World) -> None:
    client, (first, second) = browser(world.lead), (version(world, 1), version(world, 2))
    url = reverse("catalogue:version", args=[first.pk])
    assert "which is released now" not in words(client.get(url))
    client.post(reverse("catalogue:release", args=[second.pk]))
    told = words(client.get(url))
    assert "Accuracy: 40.0%, and 70.0% of version 2, which is released now." in told
    assert "This version is worse." in told
    client.post(reverse("catalogue:release", args=[first.pk]))
    told = words(client.get(reverse("catalogue:version", args=[second.pk])))
    assert "Accuracy: 70.0%, and 40.0% of version 1, which is released now." in told
    assert "This version is worse." not in told


def test_no_line_joins_versions_of_different_runs(world: World) -> None:
    page = browser(world.lead).get(reverse("catalogue:versions", args=[world.federation.slug]))
    assert "data-dots" in page.content.decode()


def test_others_than_the_lead_release_nothing(world: World) -> None:
    client, found = browser(member(world, 1)), version(world)
    page = words(client.get(reverse("catalogue:version", args=[found.pk])))
    assert "Release…" not in page
    assert "Retire…" not in page
    assert client.post(reverse("catalogue:release", args=[found.pk])).status_code == 403


def test_a_baseline_cannot_be_released(world: World) -> None:
    url = reverse("catalogue:version", args=[alone(world).pk])
    page = words(browser(world.lead).get(url))
    assert "Baseline" in page
    assert "Release…" not in page


def test_what_people_wrote_is_text(world: World) -> None:
    world.federation.name = "<script>alert(1)</script>"
    world.federation.save()
    for url in addresses(world):
        page = browser(world.lead).get(url).content.decode()
        assert "<script>alert" not in page


def test_files_are_downloaded_under_their_names(world: World) -> None:
    found, client = version(world), AsyncClient()
    client.force_login(world.lead)

    async def fetch(path: str) -> tuple[object, bytes]:
        answer = await client.get(reverse("catalogue:download", args=[found.pk, path]))
        return answer, b"".join([part async for part in answer] if answer.streaming else [])

    answer, content = async_to_sync(fetch)("README.md")
    assert answer.headers["Content-Disposition"] == 'attachment; filename="README.md"'
    assert content.startswith(b"---")
    assert async_to_sync(fetch)("nothing.bin")[0].status_code == 404


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        (SequenceClassification(labels=("a", "b")), "AutoModelForTokenClassification"),
        (
            SequenceClassification(labels=("a", "b"), pooling="model"),
            "AutoModelForSequenceClassification",
        ),
        (CausalLanguageModelling(), "AutoModelForCausalLM"),
    ],
)
def test_the_lines_that_load_it_are_python_with_the_real_names(db: None, task, expected) -> None:
    bare = VersionFactory(number=7)
    code = loading_code(bare, Plan(task=task))
    ast.parse(code)
    assert f"{expected}.from_pretrained" in code
    assert f'"{bare.federation.slug}/adapter", revision="v7"' in code
    assert f'"{bare.base_model.repo}"' in code
    assert 'os.environ["HF_ENDPOINT"] = "http' in code


def test_a_base_model_shows_its_files_and_ones_own_federations(db: None) -> None:
    base = BaseModelFactory(files={"config.json": b"{}", "model.safetensors": b"x" * 2048})
    page = words(browser(UserFactory()).get(reverse("catalogue:base", args=[base.slug])))
    assert "2.0 KiB" in page
    assert "None so far." in page
    assert browser(UserFactory()).get("/base-models/unheard-of").status_code == 404
