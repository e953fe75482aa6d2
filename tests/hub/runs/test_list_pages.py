"""Runs are steered from their pages, and listed."""

from __future__ import annotations

from django.urls import reverse

from hub.runs import services
from tests.factories.accounts import UserFactory
from tests.factories.federations import FederationFactory
from tests.hub.runs.test_pages import MOST_QUERIES, completed, draft
from tests.hub.runs.world import World, plan_of
from tests.pages import browser, words


def test_a_run_is_paused_resumed_and_cancelled_from_its_page(world: World) -> None:
    run, client = world.start_run(), browser(world.lead)
    for name, state in (("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")):
        answer = client.post(reverse(f"runs:{name}", args=[run.pk]), {"reason": "enough"})
        assert answer.headers["Location"] == reverse("runs:detail", args=[run.pk])
        run.refresh_from_db()
        assert run.state == state
    assert "enough" in words(client.get(reverse("runs:detail", args=[run.pk])))


def test_a_draft_is_started_from_its_page(world: World) -> None:
    run = draft(world)
    browser(world.lead).post(reverse("runs:start", args=[run.pk]))
    run.refresh_from_db()
    assert run.state == "queued"


def test_a_refusal_is_told_on_the_page(world: World) -> None:
    run, client = completed(world), browser(world.lead)
    answer = client.post(reverse("runs:pause", args=[run.pk]), follow=True)
    assert "This step is not possible from the present state." in words(answer)


def test_steering_by_get_is_refused(world: World) -> None:
    run = draft(world)
    assert browser(world.lead).get(reverse("runs:start", args=[run.pk])).status_code == 405


# ---------------------------------------------------------------------- list


def test_what_goes_on_stands_first(world: World) -> None:
    old, new = world.start_run(), draft(world)
    page = browser(world.lead).get(reverse("runs:list")).content.decode()
    assert page.index(str(old.pk)) < page.index(str(new.pk))


def test_runs_are_filtered_by_state_and_federation(world: World) -> None:
    other = FederationFactory(lead=world.sites[0].agent.organisation)
    mine, theirs = (
        draft(world),
        services.create_run(
            user=world.lead, federation_id=other.pk, name="Elsewhere", plan=plan_of(quorum=1)
        ),
    )
    client = browser(world.lead)
    found = words(client.get(reverse("runs:list"), {"federation": other.slug}))
    assert theirs.name in found
    assert mine.name not in found
    assert "No run fits" in words(client.get(reverse("runs:list"), {"state": "live"}))


def test_the_list_takes_few_queries_however_long_it_is(
    world: World, django_assert_max_num_queries
) -> None:
    completed(world)
    for _ in range(30):
        draft(world)
    client = browser(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(reverse("runs:list"))
    assert "1–25 of 31" in words(page)
    assert "completed" in words(client.get(reverse("runs:list"), {"page": 2}))


def test_nobody_sees_the_runs_of_others(world: World) -> None:
    draft(world)
    assert "No runs yet" in words(browser(UserFactory()).get(reverse("runs:list")))
