from __future__ import annotations

import csv
import io
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.urls import reverse
from django.utils import timezone

from hub.contributions.models import ContributionFact
from hub.contributions.sheets import COLUMNS, Sheet, plain
from hub.runs.models import Purpose, Round, Run
from tests.factories.accounts import UserFactory
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, words

INLINE = re.compile(
    r"<[a-z][^>]*\s(?:style|on\w+)=|<style|<script(?![^>]*(?:src=|application/json))"
)


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    """Two rounds: all three give to the first, the third misses the second."""
    made = make_world(tmp_path)
    run = made.start_run(plan_of(count=2))
    made.play_round(run)
    for site in made.sites[:2]:
        made.train(site, examples=300, device_seconds=6.0)
    made.judge(run)
    Round.objects.filter(pk=made.round_id(run)).update(
        deadline_at=timezone.now() - timedelta(seconds=1)
    )
    made.aggregate(run)
    return made


def page_of(world: World) -> str:
    return reverse("contributions:facts", args=[world.federation.slug])


def csv_of(world: World) -> str:
    return reverse("contributions:csv", args=[world.federation.slug])


def test_facts_are_summed_up_for_each_organisation(world: World) -> None:
    page = words(browser(world.lead).get(page_of(world)))
    names = [site.agent.organisation.name for site in world.sites]
    assert f"{names[1]} 2 of 2 0 0 0 0 0 400" in page
    assert f"{names[2]} 1 of 2 0 0 0 1 0 100" in page
    assert "All together 5 0 0 0 1 0 900" in page


def test_what_was_trained_to_compare_is_no_gift(world: World) -> None:
    Run.objects.update(purpose=Purpose.SOLO)
    client = browser(world.lead)
    assert "Nothing was given yet" in words(client.get(page_of(world)))
    assert "All together 5 0 0 0 1 0 900" in words(client.get(page_of(world) + "?baselines"))
    assert client.get(csv_of(world)).content.decode().count(",solo,") == 6


def test_the_page_takes_few_queries_and_no_inline_code(
    world: World, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    with django_assert_max_num_queries(10):
        page = client.get(page_of(world))
    assert not INLINE.search(page.content.decode())


def test_shares_add_up_to_the_whole(world: World) -> None:
    data = Sheet(world.federation, world.lead).chart_of_shares
    *given, sent = [one["values"] for one in data["series"]]
    assert [sum(values) for values in given] == pytest.approx([1.0, 1.0])
    assert sent == [None] * 3  # the hub knew these bytes


def test_the_newest_round_is_told_first(world: World) -> None:
    page = words(browser(world.lead).get(page_of(world)))
    table = page[page.index("Round by round") :]
    assert table.index("Round 2") < table.index("Round 1")
    assert "missed" in table


def test_the_csv_holds_every_fact(world: World) -> None:
    answer = browser(world.lead).get(csv_of(world))
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert ".csv" in answer.headers["Content-Disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode())))
    assert len(rows) == ContributionFact.objects.count() == 6
    assert list(rows[0]) == list(COLUMNS)
    assert sum(int(row["examples"]) for row in rows) == 900
    assert [row["outcome"] for row in rows].count("missed") == 1


@pytest.mark.parametrize("sign", ["=", "+", "-", "@", "\t", "\r"])
def test_what_people_wrote_is_no_formula(world: World, sign) -> None:
    organisation = world.sites[1].agent.organisation
    organisation.name = f"{sign}HYPERLINK(A1)"
    organisation.save()
    rows = csv.reader(io.StringIO(browser(world.lead).get(csv_of(world)).content.decode()))
    cells = {cell for row in rows for cell in row}
    assert f"'{sign}HYPERLINK(A1)" in cells
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)
    assert plain("Ada") == "Ada"


def test_strangers_find_nothing(world: World) -> None:
    for url in (page_of(world), csv_of(world)):
        assert browser(UserFactory()).get(url).status_code == 404
        assert browser().get(url).status_code == 302


def test_without_facts_the_page_says_what_comes_next(world: World) -> None:
    other = make_world(world.folder)
    page = browser(other.lead).get(page_of(other))
    assert "Nothing was given yet" in words(page)
    assert reverse("runs:new", args=[other.federation.slug]) in page.content.decode()
