from __future__ import annotations

import pytest
from django.urls import reverse

from hub.federations.places import places_in
from hub.runs.boards import Board
from hub.runs.likeness import MOST_SHOWN, likeness_in
from hub.runs.models import Comparison, Round, Run
from hub.runs.selectors import rounds_visible_to
from tests.hub.runs.world import World, plan_of
from tests.pages import browser, words


@pytest.fixture
def closed(world: World) -> Run:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    return run


def first(world: World, run: Run) -> Round:
    return rounds_visible_to(world.lead).get(run=run)


def shown(world: World, run: Run):
    return likeness_in(first(world, run), places_in(world.federation.pk, world.lead))


def test_each_two_updates_have_their_cosine(world: World, closed: Run) -> None:
    found = shown(world, closed)
    assert found is not None
    evidence = Comparison.objects.get().evidence
    owners = {u.artifact_id: u.participation_id for u in first(world, closed).updates.all()}
    for row in found.rows:
        for cell, column in zip(row.cells, found.rows, strict=True):
            one, other = (
                next(i for i, d in enumerate(evidence.digests) if owners[d] == line.place.id)
                for line in (row, column)
            )
            assert cell.cosine == (None if one == other else evidence.cosine(one, other))


def test_rounds_of_before_are_read_from_their_report(world: World, closed: Run) -> None:
    now = shown(world, closed)
    Comparison.objects.all().delete()
    assert shown(world, closed) == now


def test_where_nothing_was_compared_there_is_nothing(world: World) -> None:
    run = world.start_run()
    assert shown(world, run) is None


def test_only_so_many_are_shown(world: World, closed: Run, monkeypatch) -> None:
    monkeypatch.setattr("hub.runs.likeness.MOST_SHOWN", 2)
    found = shown(world, closed)
    assert (len(found.rows), found.hidden) == (2, 1)
    assert MOST_SHOWN > 2


def test_the_round_shows_them_with_colour_and_number(world: World, closed: Run) -> None:
    page = browser(world.lead).get(reverse("runs:round", args=[world.round_id(closed)]))
    text, found = words(page), shown(world, closed)
    assert "How alike the updates are" in text
    cell = found.rows[0].cells[1]
    assert f'data-level="{cell.level}"' in page.content.decode()


def test_the_run_shows_what_aggregation_loses(world: World, closed: Run) -> None:
    version = first(world, closed).version
    board = Board(closed, world.lead)
    assert [one["values"] for one in board.chart_of_error["series"]] == [
        [version.report["relative_error"]],
        [version.report["discarded_energy"]],
    ]
    assert dict(board.ranks) == version.report["ranks"]
    page = words(browser(world.lead).get(reverse("runs:detail", args=[closed.pk])))
    assert "What aggregation loses" in page
    assert "Aggregation of round 1" in page
    assert "2 of 2" in page


def test_a_run_without_a_version_shows_no_error(world: World) -> None:
    run = world.start_run()
    assert "What aggregation loses" not in words(
        browser(world.lead).get(reverse("runs:detail", args=[run.pk]))
    )
