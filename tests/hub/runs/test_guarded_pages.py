"""What pages say of a run whose aggregation distrusts its updates."""

from __future__ import annotations

import pytest
from django.urls import reverse

from federation.plan import Aggregation, Plan
from hub.runs.models import Run
from tests.hub.runs.world import World, plan_of
from tests.pages import browser, words


def guarded(**aggregation: object) -> Plan:
    chosen = Aggregation(**aggregation)
    return plan_of(count=1, quorum=3).model_copy(update={"aggregation": chosen})


def test_a_run_says_how_many_lies_it_survives_with_those_who_train(world: World) -> None:
    client = browser(world.lead)

    def page(run: Run) -> str:
        return words(client.get(reverse("runs:detail", args=[run.pk])))

    assert "Plain shares: survive 0 lies" in page(world.start_run(plan_of(count=1)))
    run = world.start_run(guarded(combination="median"))
    assert "Median: survives 1 lie among 3 updates." in page(run)


def test_a_version_shows_the_weights_that_the_rule_gave_not_the_examples(world: World) -> None:
    """The examples differ by 1 to 9; the geometric median does not ask for them."""
    run = world.start_run(guarded(rule="geometric_median", liars=1))
    for site, examples in zip(world.sites, (100, 300, 900), strict=True):
        world.train(site, examples=examples)
    world.aggregate(run)
    version = run.rounds.get().version
    assert version is not None
    judged = version.report["weights"]
    said = {one["digest"]: one["weight"] for one in version.contributors}
    assert said == pytest.approx(judged)
    shares = sorted(one["examples"] / 1300 for one in version.contributors)
    assert sorted(judged.values()) != pytest.approx(shares, abs=0.01)
    page = words(browser(world.lead).get(reverse("catalogue:version", args=[version.pk])))
    for one in version.contributors:
        assert f"{one['organisation']} {one['examples']} {100 * one['weight']:.1f}%" in page
