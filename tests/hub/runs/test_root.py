"""FLTrust from the plan to the ledger: one organisation's update judges the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from federation.plan import Aggregation
from federation.protocol import FailureIn
from hub.catalogue.models import ModelVersion
from hub.common.models import Event
from hub.contributions.models import ContributionFact
from hub.runs import services
from hub.runs.errors import PlanRefused
from hub.runs.models import Run, Update
from jobs.compute import aggregate_round, compare_updates
from tests.hub.runs.test_comparing import Crooked
from tests.hub.runs.world import make_world, plan_of
from tests.pages import browser, words

ROOT, LIAR = 0, 3  # places of sites


@pytest.fixture
def trusting(db: None, tmp_path: Path) -> Crooked:
    made = make_world(tmp_path, members=6)
    world = Crooked(made.federation, made.lead, made.sites, made.folder)
    world.liars = {LIAR: -1.0}
    return world


def started(world: Crooked, **rounds: int | str) -> Run:
    root = world.sites[ROOT].agent.organisation.slug
    guard = Aggregation(rule="fltrust", root=root, liars=1)
    plan = plan_of(count=1, quorum=5, **rounds).model_copy(update={"aggregation": guard})
    return world.start_run(plan)


def published(world: Crooked) -> ModelVersion:
    """A round in which the lead lets the flipped update count, against its evidence."""
    run = started(world)
    for site in world.sites:
        world.train(site)
    world.freeze(run)
    held = Update.objects.get(state="quarantined")
    services.judge_update(user=world.lead, update_id=held.pk, accept=True, reason="let us see")
    services.advance_run(run_id=run.pk)
    compare_updates(str(world.round_id(run)))
    aggregate_round(str(world.round_id(run)))
    return ModelVersion.objects.get()


def names(world: Crooked) -> list[str]:
    return [site.agent.organisation.name for site in world.sites]


def test_a_flipped_update_counts_nothing_and_the_root_is_nobody_s_contributor(
    trusting: Crooked,
) -> None:
    version, every = published(trusting), names(trusting)
    weights = {one["organisation"]: one["weight"] for one in version.contributors}
    assert weights.keys() == set(every) - {every[ROOT]}
    assert weights[every[LIAR]] == 0.0
    assert all(weights[name] > 0 for name in weights if name != every[LIAR])


def test_the_ledger_credits_neither(trusting: Crooked) -> None:
    published(trusting)
    facts = {
        fact.participation.organisation.name: fact
        for fact in ContributionFact.objects.select_related("participation__organisation")
    }
    every = names(trusting)
    assert facts[every[ROOT]].weight == facts[every[LIAR]].weight == 0.0


def test_the_page_says_how_many_lies_it_survives(trusting: Crooked) -> None:
    run = started(trusting)
    page = words(browser(trusting.lead).get(reverse("runs:detail", args=[run.pk])))
    assert "FLTrust: survives 2 lies among 6 updates." in page


def test_a_round_without_its_root_fails_with_the_reason(trusting: Crooked) -> None:
    run = started(trusting)
    root, *others = trusting.sites
    trusting.liars = {}
    offer = trusting.lease(root)
    for site in others:
        trusting.train(site)
    message = FailureIn(fence=offer.fence, code="no_examples", retry=False)
    services.fail_task(agent=root.agent, task_id=offer.id, message=message)
    trusting.freeze(run)
    aggregate_round(str(trusting.round_id(run)))
    run.refresh_from_db()
    assert (run.state, run.failure_code) == ("failed", "no_root")
    assert Event.objects.filter(kind="run.failed").exists()


def test_a_root_that_does_not_train_is_refused(trusting: Crooked) -> None:
    guard = Aggregation(rule="fltrust", root="nobody", liars=1)
    with pytest.raises(PlanRefused, match="nobody"):
        trusting.start_run(plan_of(quorum=5).model_copy(update={"aggregation": guard}))
