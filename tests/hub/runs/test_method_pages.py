from __future__ import annotations

import pytest
from django.urls import reverse

from federation.plan import Aggregation, Server
from hub.runs.models import Recomputation, Run
from tests.hub.runs.test_recomputing import only, work
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, words

MOST_QUERIES = 10


@pytest.fixture
def closed(world: World) -> Run:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    return run


def address(run: Run, name: str = "methods") -> str:
    return reverse(f"runs:{name}", args=[only(run).pk])


def test_a_round_is_replayed_by_a_button_and_says_how_it_came_out(
    world: World, closed: Run, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    assert "Nobody has computed this round again yet." in words(
        client.get(address(closed, "round"))
    )
    answer = client.post(address(closed, "replay"), follow=True)
    assert "Round 1 is being computed again." in words(answer)
    assert "Being computed again" in words(answer)
    work()
    with django_assert_max_num_queries(MOST_QUERIES):
        page = words(client.get(address(closed, "round")))
    assert "Reproduced The same 64 hex digits came out" in page
    assert "was computed again with its own method: the same bytes" in words(
        client.get(reverse("runs:detail", args=[closed.pk]))
    )
    Recomputation.objects.update(digest="f" * 64)
    assert "Not reproduced" in words(client.get(address(closed, "round")))


def test_methods_are_chosen_computed_and_set_side_by_side(
    world: World, closed: Run, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    before = client.get(address(closed))
    assert "Nothing computed yet" in words(before)
    assert 'value="fedavg"' in before.content.decode()
    sent = {"method": ["stack_svd", "fedavg", "stack_svd median"]}
    waiting = client.post(address(closed), sent, follow=True)
    assert "every 2s" in waiting.content.decode()
    work()
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(address(closed))
    text = words(page)
    assert "stack_svd · median" in text
    assert "as published" in text
    assert "every 2s" not in page.content.decode()
    part = client.get(address(closed, "methods_results"))
    assert "<html" not in part.content.decode()
    assert "as published" in words(part)


def test_a_method_that_has_no_error_to_say_is_listed_without_one(world: World) -> None:
    """A server's optimiser over averaged factors: what would be exact is not defined."""
    parts = {
        "server": Server(optimiser="fedadam"),
        "aggregation": Aggregation(strategy="fedavg"),
    }
    run = world.start_run(plan_of(count=1).model_copy(update=parts))
    world.play_round(run)
    client = browser(world.lead)
    client.post(address(run), {"method": ["fedavg", "fedavg median", "stack_svd"]})
    work()
    assert None in [row.report["relative_error"] for row in Recomputation.objects.all()]
    text = words(client.get(address(run)))
    assert "as published" in text
    assert "fedavg · median" in text


def test_a_method_that_is_not_offered_is_refused(world: World, closed: Run) -> None:
    answer = browser(world.lead).post(address(closed), {"method": ["magic"]}, follow=True)
    assert "Compute more" in words(answer)
    assert not Recomputation.objects.exists()


def test_an_open_round_has_nothing_to_compare(world: World) -> None:
    run = world.start_run()
    client = browser(world.lead)
    assert client.get(address(run)).status_code == 404
    answer = client.post(address(run, "replay"), follow=True)
    assert "Only a closed round can be computed again." in words(answer)


def test_strangers_find_nothing(world: World, closed: Run) -> None:
    stranger = browser(make_world(world.folder).lead)
    assert stranger.get(address(closed)).status_code == 404
    assert stranger.get(address(closed, "methods_results")).status_code == 404
    assert stranger.post(address(closed, "replay")).status_code == 404
    assert stranger.post(address(closed), {"method": ["fedavg"]}).status_code == 404
    assert not Recomputation.objects.exists()


def test_whoever_was_signed_out_is_sent_to_sign_in(closed: Run) -> None:
    answer = browser().get(address(closed, "methods_results"))
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")
