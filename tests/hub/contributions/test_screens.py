"""The screens of value, rewards, statements and the ledger, over a run that was really valued."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.test import Client
from django.urls import reverse

from federation.plan_rewards import Rewards
from hub.contributions.models import Credit, Reward
from hub.contributions.rewards.granting import grant_what_is_due
from hub.ledger.models import Entry, EntryType
from hub.ledger.services import append, settle
from hub.runs.models import Run
from tests.factories.accounts import UserFactory
from tests.hub.contributions.valued import make_valued, played, work
from tests.hub.runs.probed import ProbedWorld
from tests.pages import browser

pytestmark = pytest.mark.django_db
MOST_QUERIES = 10


@pytest.fixture
def world(db: None, tmp_path: Path) -> ProbedWorld:
    return make_valued(tmp_path)


@pytest.fixture
def run(world: ProbedWorld) -> Run:
    found = played(world, rewards=Rewards(budget=900, hold_back=0.1))
    work()
    grant_what_is_due()
    reward = Reward.objects.get(run=found)
    settle(ledger=found.federation_id, key=f"reward:{reward.pk}")
    return found


@pytest.fixture
def member(world: ProbedWorld) -> Client:
    return browser(world.lead)


def addresses(run: Run) -> Iterator[str]:
    slug = run.federation.slug
    place = run.federation.participations.all()[0].pk
    for name in ("values", "rewards", "ledger"):
        yield reverse(f"contributions:{name}", args=[slug])
    for name in ("statement", "statement_csv"):
        yield reverse(f"contributions:{name}", args=[slug, place])
    yield reverse("contributions:entry", args=[slug, 0])


def test_each_screen_takes_few_queries_and_is_nobody_elses(
    run: Run, member: Client, django_assert_max_num_queries
) -> None:
    stranger = browser(UserFactory())
    for address in addresses(run):
        with django_assert_max_num_queries(MOST_QUERIES):
            assert member.get(address).status_code == 200
        assert stranger.get(address).status_code == 404


def test_values_come_with_how_sure_they_are(run: Run, member: Client) -> None:
    page = member.get(reverse("contributions:values", args=[run.federation.slug]))
    values = [row["worth"] for row in page.context["rows"]]
    assert [one.value for one in values] == sorted((one.value for one in values), reverse=True)
    (series,) = page.context["together"]["series"]
    assert all(
        low <= value <= high
        for value, low, high in zip(series["values"], series["low"], series["high"], strict=True)
    )
    assert page.context["by_round"]["stacked"]
    assert "95 % interval" in page.content.decode()


def test_the_credits_on_the_page_add_up_to_the_budget(run: Run, member: Client) -> None:
    page = member.get(reverse("contributions:rewards", args=[run.federation.slug]))
    ((one, rows),) = page.context["runs"]
    assert sum(row["balance"].paid + row["balance"].held for row in rows) + one.left == 900
    assert [row["balance"] for row in rows] == [row["balance"] for row in page.context["balances"]]


def test_a_statement_names_the_entry_behind_each_figure(run: Run, member: Client) -> None:
    credit = Credit.objects.select_related("participation").all()[0]
    place = [run.federation.slug, credit.participation_id]
    rows = list(
        csv.DictReader(
            io.StringIO(
                member.get(reverse("contributions:statement_csv", args=place)).content.decode()
            )
        )
    )
    (paid,) = [row for row in rows if row["what"] == "paid"]
    entry = Entry.objects.get(ledger=run.federation_id, position=int(paid["ledger_entry"]))
    assert (entry.key, int(paid["figure"])) == (credit.entry, credit.paid)
    (value,) = [row for row in rows if row["what"] == "value"]
    assert Entry.objects.get(position=int(value["ledger_entry"])).type == "valuation.recorded"
    assert (
        reverse("contributions:entry", args=[place[0], entry.position])
        in member.get(reverse("contributions:statement", args=place)).content.decode()
    )


def test_entries_are_found_by_their_type_and_paged(run: Run, member: Client) -> None:
    ledger, address = run.federation_id, reverse("contributions:ledger", args=[run.federation.slug])
    for number in range(30):
        append(
            ledger=ledger, type=EntryType.CORRECTION, key=f"test:{number}", payload={"n": number}
        )
    settle(ledger=ledger, key="test:29")
    page = member.get(address, {"type": "correction"})
    assert [one.key for one, *_ in page.context["entries"]] == [
        f"test:{n}" for n in range(29, 4, -1)
    ]
    older = member.get(address, {"type": "correction", "before": page.context["older"]})
    assert [one.key for one, *_ in older.context["entries"]] == [
        f"test:{n}" for n in range(4, -1, -1)
    ]
    for odd in ({"type": "nonsense"}, {"before": "x"}, {"before": "9" * 40}):
        assert member.get(address, odd).status_code == 200
    assert (
        member.get(reverse("contributions:entry", args=[run.federation.slug, 10**6])).status_code
        == 404
    )


def test_only_the_owner_of_the_lead_is_offered_to_correct(world: ProbedWorld, run: Run) -> None:
    address = reverse("contributions:correct", args=[run.federation.slug, run.pk])
    assert (
        address
        in browser(world.lead)
        .get(reverse("contributions:rewards", args=[run.federation.slug]))
        .content.decode()
    )
    other = world.sites[1].agent.organisation.memberships.all()[:1]
    for place in other:
        assert browser(place.user).post(address).status_code == 403
    assert browser(UserFactory()).post(address).status_code == 404


def test_before_anything_is_measured_each_screen_says_what_to_do(world: ProbedWorld) -> None:
    for name in ("values", "rewards"):
        page = browser(world.lead).get(
            reverse(f"contributions:{name}", args=[world.federation.slug])
        )
        assert "Begin a run" in page.content.decode()
