"""An organisation that declines by its policy: what its peers read, and where."""

from __future__ import annotations

from django.urls import reverse
from django.utils import timezone

from federation.protocol import DECLINED_BY_POLICY, FailureIn
from hub.runs import services
from hub.runs.models import Round, Run, Task
from tests.hub.runs.world import World, plan_of
from tests.pages import browser, words

DETAIL = "limits.tokens_per_text: the plan asks for 128 tokens a text, the site allows 64"


def declined(world: World, **rounds: int) -> Run:
    """The first organisation declines; nobody else has begun."""
    run = world.start_run(plan_of(**rounds))
    offer = world.lease(world.sites[0])
    failure = FailureIn(fence=offer.fence, code=DECLINED_BY_POLICY, detail=DETAIL, retry=False)
    services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=failure)
    return run


def name(world: World) -> str:
    return world.sites[0].agent.organisation.name


def test_a_declined_task_is_over_at_its_first_attempt(world: World) -> None:
    declined(world)
    task = Task.objects.get(state="failed")
    assert (task.failure_code, task.attempts) == (DECLINED_BY_POLICY, 1)


def test_the_run_s_page_says_who_declined_and_by_which_rule(world: World) -> None:
    run = declined(world)
    page = words(browser(world.lead).get(reverse("runs:detail", args=[run.pk])))
    assert f"{name(world)} declined by its policy: limits.tokens_per_text." in page
    assert f"{name(world)} declined training in round 1 by its policy: {DETAIL}." in page
    assert f"Its policy forbids it: {DETAIL}" in page


def test_the_round_s_page_says_it_too(world: World) -> None:
    run = declined(world)
    page = words(browser(world.lead).get(reverse("runs:round", args=[world.round_id(run)])))
    assert f"{name(world)} declined" in page
    assert f"Not counted: {name(world)} (its policy forbids it: {DETAIL})" in page


def test_the_closing_sentence_names_the_policy(world: World) -> None:
    run = declined(world)
    for site in world.sites[1:]:
        world.train(site)
    world.judge(run)
    world.aggregate(run)
    for site in world.sites[1:]:
        world.evaluate(site)
    Round.objects.filter(number=1).update(deadline_at=timezone.now())
    services.advance_run(run_id=run.pk)
    said = f"Closed with 2 of 3: {name(world)} declined by its policy ({DETAIL})."
    assert Round.objects.get(run=run, number=1).summary == said


def test_a_round_that_fails_by_it_says_so(world: World) -> None:
    run = declined(world, quorum=3)
    Round.objects.update(deadline_at=timezone.now())
    services.advance_run(run_id=run.pk)
    page = words(browser(world.lead).get(reverse("runs:detail", args=[run.pk])))
    assert f"{name(world)} declined by its policy ({DETAIL})" in page
