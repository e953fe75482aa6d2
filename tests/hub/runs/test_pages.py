from __future__ import annotations

import re
from datetime import timedelta
from html import escape
from uuid import uuid4

import pytest
from django.urls import reverse
from django.utils import timezone

from federation.protocol import FailureIn, HeartbeatIn, Progress
from hub.runs import services
from hub.runs.models import Round, Run, Update
from hub.runs.selectors import events_of_run
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, make_world, plan_of
from tests.pages import browser, words

MOST_QUERIES = 10
PARTS = ("badge", "state", "summary", "now", "rounds", "feed", "charts")
NAUGHTY = "Ada <script>alert(1)</script> & Söhne"
INLINE = re.compile(
    r"<[a-z][^>]*\s(?:style|on\w+)=|<style|<script(?![^>]*(?:src=|application/json))"
)


def member_of(world: World, place: int) -> object:
    """Somebody of the organisation in that place; 0 leads."""
    return MembershipFactory(organisation=world.sites[place].agent.organisation).user


def beat(world: World, site, offer, **progress: object) -> None:
    message = HeartbeatIn(fence=offer.fence, progress=Progress(phase="training", **progress))
    services.heartbeat(agent=site.agent, task_id=offer.id, message=message)


def page_of(run: Run) -> str:
    return reverse("runs:detail", args=[run.pk])


def draft(world: World) -> Run:
    return services.create_run(
        user=world.lead, federation_id=world.federation.pk, name="A plan", plan=plan_of()
    )


def running(world: World) -> Run:
    """One round is done; in the second one has delivered, one trains, one waits."""
    run = world.start_run()
    world.play_round(run)
    world.train(world.sites[0])
    world.judge(run)
    offer = world.lease(world.sites[1])
    beat(world, world.sites[1], offer, step=2, steps=8, loss=1.25, examples_per_second=9.5)
    return run


def completed(world: World) -> Run:
    run = world.start_run()
    world.play_round(run)
    world.play_round(run)
    return run


def failed(world: World) -> Run:
    run = world.start_run(plan_of(quorum=3))
    offer = world.lease(world.sites[0])
    failure = FailureIn(fence=offer.fence, code="no_data", detail="nothing to learn", retry=False)
    services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=failure)
    Round.objects.update(deadline_at=timezone.now())
    services.advance_run(run_id=run.pk)
    return run


def held(world: World) -> Run:
    """Everybody has delivered, and one update is set aside."""
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    odd = Update.objects.filter(participation__organisation=world.sites[1].agent.organisation).get()
    evidence = {"norm": 90.0, "usual_norm": 3.0}
    services.record_verdict(
        update_id=odd.pk, verdict="quarantined", code="norm_outlier", norm=90.0, evidence=evidence
    )
    world.judge(run)
    return run


STORIES = {
    "draft": draft,
    "running": running,
    "completed": completed,
    "failed": failed,
    "held": held,
}


@pytest.mark.parametrize("story", STORIES)
def test_the_page_of_a_run_takes_few_queries_and_no_inline_code(
    world: World, story, django_assert_max_num_queries
) -> None:
    run = STORIES[story](world)
    client = browser(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(reverse("runs:detail", args=[run.pk]))
    assert run.name in words(page)
    assert not INLINE.search(page.content.decode())


@pytest.mark.parametrize("story", STORIES)
def test_each_part_can_be_fetched_again_by_itself(
    world: World, story, django_assert_max_num_queries
) -> None:
    run = STORIES[story](world)
    client = browser(world.lead)
    whole = words(client.get(reverse("runs:detail", args=[run.pk])))
    for part in PARTS:
        with django_assert_max_num_queries(MOST_QUERIES):
            page = client.get(reverse("runs:part", args=[run.pk, part]))
        assert "<html" not in page.content.decode()
        assert words(page)[:60] in whole


def test_a_part_that_does_not_exist_is_not_found(world: World) -> None:
    run = draft(world)
    assert (
        browser(world.lead).get(reverse("runs:part", args=[run.pk, "secrets"])).status_code == 404
    )


def test_who_was_signed_out_is_sent_to_sign_in_by_the_next_part(world: World) -> None:
    answer = browser().get(reverse("runs:part", args=[draft(world).pk, "now"]))
    assert (answer.status_code, answer.headers["HX-Refresh"]) == (401, "true")


def addresses(run: Run) -> list[str]:
    rounds = [reverse("runs:round", args=[pk]) for pk in run.rounds.values_list("pk", flat=True)]
    names = ("runs:detail", "runs:events")
    parts = [reverse("runs:part", args=[run.pk, "now"])]
    new = reverse("runs:new", args=[run.federation.slug])
    return [*(reverse(name, args=[run.pk]) for name in names), *parts, *rounds, new]


def test_strangers_find_nothing(world: World) -> None:
    run = running(world)
    stranger = browser(make_world(world.folder).lead)
    assert {stranger.get(url).status_code for url in addresses(run)} == {404}
    for name in ("start", "pause", "resume", "cancel"):
        assert stranger.post(reverse(f"runs:{name}", args=[run.pk])).status_code == 404
    run.refresh_from_db()
    assert run.state == "running"


def test_whoever_is_not_signed_in_is_asked_to(world: World) -> None:
    run = draft(world)
    for url in (reverse("runs:list"), reverse("runs:detail", args=[run.pk])):
        answer = browser().get(url)
        assert answer.status_code == 302
        assert "/login/" in answer.headers["Location"]


def test_the_page_says_who_does_what(world: World) -> None:
    page = words(browser(world.lead).get(reverse("runs:detail", args=[running(world).pk])))
    assert "Round 2 of 2 is collecting: 1 of 3 updates are in." in page
    assert "training 2 of 8" in page
    assert "1.250" in page
    assert "Closed with 3 of 3." in page


def test_the_page_says_how_the_work_goes_on(world: World) -> None:
    run = world.start_run()
    offer = world.lease(world.sites[0])
    told = {"loss": 1.25, "learning_rate": 5e-4, "examples_per_second": 9.5}
    device = {"device_memory_bytes": 3 << 30, "device_utilisation": 0.875}
    more = {"step": 2, "steps": 8, "tokens_per_second": 1200.4}
    beat(world, world.sites[0], offer, **told, **device, **more)
    page = words(browser(world.lead).get(page_of(run))).replace("\xa0", " ")
    assert "1.250 at 5.00e-04 9.5 1,200 3.0 GiB 88% busy" in page


def test_who_is_out_is_named_with_the_reason(world: World) -> None:
    run = failed(world)
    page = words(browser(world.lead).get(reverse("runs:detail", args=[run.pk])))
    assert "The run failed" in page
    assert "could not do it (no data: nothing to learn)" in page
    assert "No data: nothing to learn" in page
    ended = words(browser(world.lead).get(reverse("runs:round", args=[run.rounds.get().pk])))
    assert "Ended without a result" in ended


def test_what_was_said_of_a_failure_stands_as_it_was_said(world: World) -> None:
    run = draft(world)
    services.start_run(user=world.lead, run_id=run.pk)
    said = "The tensor base_model.model.pooler is not there."
    services.fail_run(run_id=run.pk, code="preparation_failed", reason=said)
    assert f"The run failed {said} Round" in words(browser(world.lead).get(page_of(run)))


def test_of_a_failure_without_words_the_code_is_said(world: World) -> None:
    run = draft(world)
    services.start_run(user=world.lead, run_id=run.pk)
    services.fail_run(run_id=run.pk, code="preparation_failed", reason="")
    assert "The run failed Preparation failed. " in words(browser(world.lead).get(page_of(run)))


def test_a_run_of_one_round_counts_no_rounds(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    world.play_round(run)
    assert "Its only round is done." in words(browser(world.lead).get(page_of(run)))


def test_a_completed_run_says_what_it_brought(world: World) -> None:
    page = words(browser(world.lead).get(reverse("runs:detail", args=[completed(world).pk])))
    assert "All 2 rounds are done." in page
    assert "What it brought" in page
    assert "Version 2" in page


def test_what_some_have_measured_is_not_called_all(world: World) -> None:
    run = world.start_run(plan_of(count=1))
    for site in world.sites:
        world.train(site)
    world.aggregate(run)
    world.evaluate(world.sites[0])
    client = browser(world.lead)
    assert "1 of 3 organisations" in words(client.get(page_of(run)))
    version = run.rounds.get().version
    assert "1 of 3 organisations" in words(client.get(f"/versions/{version.pk}"))
    line = client.get(f"/federations/{world.federation.slug}/versions")
    assert "1 of 3 organisations" in words(line)
    assert "along the line" not in words(line)
    for site in world.sites[1:]:
        world.evaluate(site)
    assert "of 3 organisations" not in words(client.get(page_of(run)))
    assert "along the line" in words(client.get(line.request["PATH_INFO"]))


def test_the_stream_begins_where_the_page_ends(world: World) -> None:
    run = running(world)
    page = browser(world.lead).get(reverse("runs:detail", args=[run.pk])).content.decode()
    newest = max(event.pk for event in events_of_run(run.pk))
    assert f'sse-connect="{reverse("runs:events", args=[run.pk])}?last_event_id={newest}"' in page


def test_an_ended_run_opens_no_stream(world: World) -> None:
    page = browser(world.lead).get(reverse("runs:detail", args=[completed(world).pk]))
    assert "sse-connect" not in page.content.decode()


def test_what_people_wrote_is_text(world: World) -> None:
    organisation = world.sites[1].agent.organisation
    organisation.name = NAUGHTY
    organisation.save()
    run = services.create_run(
        user=world.lead, federation_id=world.federation.pk, name=NAUGHTY, plan=plan_of()
    )
    services.start_run(user=world.lead, run_id=run.pk)
    services.run_prepared(run_id=run.pk, start=world.start())
    world.play_round(run)
    urls = [
        reverse("runs:detail", args=[run.pk]),
        reverse("runs:round", args=[run.rounds.first().pk]),
        reverse("runs:new", args=[world.federation.slug]),
        reverse("runs:list"),
    ]
    for url in urls:
        page = browser(world.lead).get(url).content.decode()
        assert escape("<script>alert(1)") in page
        assert "<script>alert" not in page


def test_older_rounds_are_leafed_through(world: World) -> None:
    run = completed(world)
    page = browser(world.lead).get(reverse("runs:detail", args=[run.pk]), {"before": "2"})
    assert "Newest rounds" in words(page)
    table = page.content.decode().partition("Rounds of First steps")[2]
    assert reverse("runs:round", args=[run.rounds.get(number=1).pk]) in table
    assert reverse("runs:round", args=[run.rounds.get(number=2).pk]) not in table


# --------------------------------------------------------------------- round


def test_a_round_tells_its_story(world: World, django_assert_max_num_queries) -> None:
    run, client = completed(world), browser(world.lead)
    with django_assert_max_num_queries(MOST_QUERIES):
        page = client.get(reverse("runs:round", args=[run.rounds.get(number=1).pk]))
    text = words(page)
    names = [site.agent.organisation.name for site in world.sites]
    steps = ["Opened", f"{names[0]} delivered", "Frozen with 3 updates", "Version 1", "Closed"]
    assert [text.index(step, text.index("Step by step")) for step in steps] == sorted(
        text.index(step, text.index("Step by step")) for step in steps
    )
    assert "33.3%" in text
    assert not INLINE.search(page.content.decode())


def test_the_missing_are_named_with_their_reasons(world: World) -> None:
    run = world.start_run()
    for site in world.sites[:2]:
        world.train(site)
    world.judge(run)
    Round.objects.update(deadline_at=timezone.now() - timedelta(seconds=1))
    world.aggregate(run)
    page = words(browser(world.lead).get(reverse("runs:round", args=[world.round_id(run)])))
    missing = world.sites[2].agent.organisation.name
    assert f"Not counted: {missing} (the deadline passed first)" in page
    assert "2 of 3 updates" in page


def test_quarantine_shows_its_evidence_and_the_lead_decides(world: World) -> None:
    run, client = held(world), browser(world.lead)
    url = reverse("runs:round", args=[world.round_id(run)])
    page = words(client.get(url))
    assert "Held for review" in page
    assert "It moves the model 30 times as far as usual." in page
    odd = Update.objects.get(state="quarantined")
    client.post(reverse("runs:judge", args=[odd.pk]), {"verdict": "accept", "reason": "new ward"})
    odd.refresh_from_db()
    assert odd.state == "accepted"
    assert "New ward" in words(client.get(url))


def test_a_decision_needs_a_reason(world: World) -> None:
    held(world)
    odd = Update.objects.get(state="quarantined")
    answer = browser(world.lead).post(
        reverse("runs:judge", args=[odd.pk]), {"verdict": "reject"}, follow=True
    )
    assert "Say why" in words(answer)
    odd.refresh_from_db()
    assert odd.state == "quarantined"


def test_others_than_the_lead_see_the_evidence_and_decide_nothing(world: World) -> None:
    run = held(world)
    client = browser(member_of(world, 1))
    page = client.get(reverse("runs:round", args=[world.round_id(run)]))
    assert "The lead organisation decides." in words(page)
    odd = Update.objects.get(state="quarantined")
    sent = {"verdict": "accept", "reason": "it is ours"}
    assert client.post(reverse("runs:judge", args=[odd.pk]), sent).status_code == 403


def test_strangers_judge_nothing(world: World) -> None:
    held(world)
    odd = Update.objects.get(state="quarantined")
    stranger = browser(make_world(world.folder).lead)
    sent = {"verdict": "accept", "reason": "?"}
    assert stranger.post(reverse("runs:judge", args=[odd.pk]), sent).status_code == 404
    assert stranger.get(reverse("runs:round", args=[uuid4()])).status_code == 404


def test_the_feed_says_codes_in_words(world: World) -> None:
    run = world.start_run()
    offer = world.lease(world.sites[0])
    failure = FailureIn(fence=offer.fence, code="out_of_memory", retry=False)
    services.fail_task(agent=world.sites[0].agent, task_id=offer.id, message=failure)
    page = words(browser(world.lead).get(reverse("runs:part", args=[run.pk, "feed"])))
    assert "failed in round 1: its device ran out of memory." in page


def test_an_update_that_nobody_decided_on_can_be_judged_no_more(world: World) -> None:
    run = held(world)
    services.cancel_run(user=world.lead, run_id=run.pk)
    page = browser(world.lead).get(reverse("runs:round", args=[world.round_id(run)]))
    assert "The round ended before anybody decided" in words(page)
    assert "Count it" not in words(page)
