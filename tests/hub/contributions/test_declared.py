"""VAL-8: whoever says ten times as many examples gains nothing by it; and what facts say."""

from __future__ import annotations

from pathlib import Path

import pytest

from hub.catalogue.models import Evaluation, Upload
from hub.contributions.models import ContributionFact, Outcome
from hub.contributions.services import meter_the_rest
from hub.ledger.models import EntryType
from hub.runs import services
from hub.runs.errors import AlreadySubmitted, ExamplesAboveDeclaration
from hub.runs.models import Run, Task, Update
from tests.hub.contributions.story import declare, founded_world, payload_of, told
from tests.hub.runs.world import Site, World, plan_of
from tests.pages import browser, words

pytestmark = pytest.mark.django_db


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = founded_world(tmp_path)
    for site in made.sites:
        declare(made, site, 100)
    return made


def inflate(world: World, site: Site) -> Update:
    with pytest.raises(ExamplesAboveDeclaration) as refused:
        world.train(site, examples=1000)
    assert refused.value.detail == "1000 examples were trained on, 100 are declared"
    return Update.objects.get(participation__organisation=site.agent.organisation)


def weights_of(run: Run) -> list[float]:
    return [one["weight"] for one in run.rounds.get().version.contributors]


def test_ten_times_as_many_examples_are_refused_and_change_nothing_else(world: World):
    run = world.start_run(plan_of(count=1))
    *honest, inflater = world.sites
    for site in honest:
        world.train(site)
    update = inflate(world, inflater)
    world.aggregate(run)
    assert (update.state, update.task.state) == ("rejected", "failed")
    assert weights_of(run) == [0.5, 0.5]
    fact = ContributionFact.objects.get(update=update)
    assert (fact.outcome, fact.reason) == (Outcome.REJECTED, "examples_above_declaration")
    assert (fact.examples, fact.tokens, fact.weight) == (0, 0, 0.0)
    (verdict,) = told(world, EntryType.UPDATE_JUDGED)[:1]
    assert payload_of(verdict)["code"] == "examples_above_declaration"


def test_the_same_again_is_refused_the_same_and_told_once(world: World):
    world.start_run()
    site = world.sites[0]
    offer = world.lease(site)
    path = world.update_file(offer, site)
    world.upload(site, offer, path)
    message = world.statement(site, offer, path, examples=1000)
    for _ in range(2):
        with pytest.raises(ExamplesAboveDeclaration):
            services.submit_update(agent=site.agent, task_id=offer.id, message=message)
    honest = world.statement(site, offer, path, examples=100)
    with pytest.raises(AlreadySubmitted):
        services.submit_update(agent=site.agent, task_id=offer.id, message=honest)
    assert len(told(world, EntryType.UPDATE_SUBMITTED)) == 1
    assert Task.objects.get(pk=offer.id).failure_code == "examples_above_declaration"


def test_as_many_as_are_declared_are_taken_and_without_a_declaration_any(world: World):
    run = world.start_run(plan_of(count=1))
    first, second, third = world.sites
    world.train(first, examples=100)
    declare(world, second, 300)
    world.train(second, examples=300)
    world.federation.participations.get(
        organisation=third.agent.organisation
    ).declarations.all().delete()
    world.train(third, examples=10**6)
    world.aggregate(run)
    assert sorted(Update.objects.values_list("examples", flat=True)) == [100, 300, 10**6]
    assert len(weights_of(run)) == 3


def test_the_refusal_is_shown_on_the_round_s_page_and_in_the_facts(world: World):
    run = world.start_run(plan_of(count=1))
    for site in world.sites[:2]:
        world.train(site)
    inflate(world, world.sites[2])
    world.aggregate(run)
    client = browser(world.lead)
    assert "declared" in words(client.get(f"/rounds/{run.rounds.get().pk}"))
    page = words(client.get(f"/federations/{world.federation.slug}/contributions"))
    assert "rejected examples_above_declaration" in page


def test_an_evaluation_on_more_than_is_declared_is_not_kept(world: World):
    run = world.start_run(plan_of(count=1))
    for site in world.sites:
        world.train(site)
    declare(world, world.sites[0], 100, test=9)
    world.aggregate(run)
    with pytest.raises(ExamplesAboveDeclaration):
        world.evaluate(world.sites[0])
    assert not Evaluation.objects.exists()


def test_evaluations_are_facts_too_and_written_once(world: World):
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    assert [meter_the_rest() for _ in range(2)] == [3, 0]
    facts = ContributionFact.objects.filter(outcome=Outcome.EVALUATED)
    assert [(fact.examples, fact.tokens) for fact in facts] == [(10, 0)] * 3
    page = words(browser(world.lead).get(f"/federations/{world.federation.slug}/contributions"))
    assert "All together 3 0 0 0 0 3 300" in page


def test_bytes_are_those_that_came_also_in_vain(world: World):
    run = world.start_run(plan_of(count=1))
    for site in world.sites:
        world.train(site)
    first, second, third = Upload.objects.order_by("pk")
    Upload.objects.filter(pk=first.pk).update(received_bytes=5000)
    Upload.objects.filter(pk=second.pk).update(received_bytes=None)
    world.aggregate(run)
    sent = {
        fact.update.task_id: fact.bytes_up
        for fact in ContributionFact.objects.select_related("update")
    }
    assert sent[first.task_id] == 5000
    assert sent[second.task_id] == second.size_bytes
    assert sent[third.task_id] == 0  # the hub knew them


def test_what_nobody_had_decided_on_is_held_in_the_facts(world: World):
    run = world.start_run(plan_of(count=1, quorum=2, quarantine="leave_out"))
    for site in world.sites:
        world.train(site)
    odd = Update.objects.get(participation__organisation=world.sites[2].agent.organisation)
    services.record_verdict(update_id=odd.pk, verdict="quarantined", code="norm_outlier", norm=9.0)
    world.aggregate(run)
    fact = ContributionFact.objects.get(update=odd)
    assert (fact.outcome, fact.reason) == (Outcome.QUARANTINED, "norm_outlier")
