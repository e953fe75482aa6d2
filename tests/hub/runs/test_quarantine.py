from __future__ import annotations

from uuid import uuid4

import pytest
from django.urls import reverse

from federation.suspicion import SIGNS
from hub.common.models import Event
from hub.notices.settling import settle_needs
from hub.notices.telling import tell_news
from hub.runs import services
from hub.runs.models import Run, Update
from hub.runs.quarantine import SENTENCES, sentence_of
from tests.conftest import client_of
from tests.factories.organisations import MembershipFactory
from tests.hub.runs.world import World, make_world
from tests.pages import browser, words

FOUND = {
    "norm": 3.0,
    "usual_norm": 0.1,
    "cosine_to_others": -0.7,
    "agreement": 0.61,
    "nearest": {"update": str(uuid4()), "organisation": "Ada Institute", "cosine": 0.9996},
}


def held(world: World, code: str = "against_others") -> tuple[Run, Update]:
    run = world.start_run()
    for site in world.sites:
        world.train(site)
    odd = Update.objects.get(participation__organisation=world.sites[1].agent.organisation)
    services.record_verdict(
        update_id=odd.pk, verdict="quarantined", code=code, norm=3.0, evidence=FOUND
    )
    world.freeze(run)
    odd.refresh_from_db()
    return run, odd


def test_every_sign_has_words() -> None:
    assert SENTENCES.keys() == SIGNS.keys()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("norm_outlier", "It moves the model 30 times as far as usual."),
        (
            "against_others",
            "It points against the others (cosine −0.70), who agree with each other (cosine 0.61).",
        ),
        (
            "copied_update",
            (
                "It is nearly the same as the update of Ada Institute, which came first "
                "(cosine 0.9996)."
            ),
        ),
        ("suspect_zero", "It changes nothing: what came back is what the round started from."),
        ("of_tomorrow", "It was set aside."),
    ],
)
def test_the_evidence_reads(code: str, said: str) -> None:
    assert sentence_of(Update(verdict_code=code, evidence=FOUND)) == said
    assert sentence_of(Update(verdict_code="judged", evidence={**FOUND, "sign": code})) == said


@pytest.mark.parametrize("code", SIGNS)
def test_the_page_of_the_round_says_what_was_found(
    world: World, code: str, django_assert_max_num_queries
) -> None:
    run, _ = held(world, code)
    client = browser(world.lead)
    with django_assert_max_num_queries(10):
        page = words(client.get(reverse("runs:round", args=[world.round_id(run)])))
    assert f"Held for review: {world.sites[1].agent.organisation}" in page
    assert sentence_of(Update(verdict_code=code, evidence=FOUND)) in page
    assert "Cosine to the others −0.70" in page
    assert "Ada Institute (0.9996)" in page


def test_the_lead_finds_it_on_their_desk_until_the_round_is_frozen(world: World) -> None:
    run, odd = held(world)
    tell_news()
    assert "An update is held for review" in words(browser(world.lead).get("/"))
    other = MembershipFactory(organisation=world.sites[1].agent.organisation).user
    assert "held for review" not in words(browser(other).get("/"))
    run.rounds.update(deadline_at="2020-01-01T00:00Z")
    services.advance_run(run_id=run.pk)
    settle_needs()
    assert "held for review" not in words(browser(world.lead).get("/"))
    odd.refresh_from_db()
    assert odd.state == "quarantined"


# ------------------------------------------------------------------ the API


def judge(client, update: Update, what: str, reason: str = "a new ward"):
    return client.post(f"/api/v1/updates/{update.pk}/{what}", {"reason": reason})


@pytest.mark.parametrize(("what", "state"), [("accept", "accepted"), ("reject", "rejected")])
def test_the_lead_decides_with_a_reason(world: World, what: str, state: str) -> None:
    _, odd = held(world)
    answer = judge(client_of(world.lead), odd, what)
    assert (answer.status_code, answer.json()["state"]) == (200, state)
    odd.refresh_from_db()
    assert odd.judged_by == world.lead
    event = Event.objects.get(subject_id=odd.pk, kind=f"update.{state}")
    assert (event.reason, event.actor_id) == ("a new ward", world.lead.pk)
    assert event.from_state == "quarantined"


@pytest.mark.parametrize("what", ["accept", "reject"])
def test_members_may_look_and_strangers_not_even_that(world: World, what: str) -> None:
    _, odd = held(world)
    member = MembershipFactory(organisation=world.sites[1].agent.organisation).user
    assert judge(client_of(member), odd, what).status_code == 403
    assert client_of(member).get(f"/api/v1/updates/{odd.pk}").json()["evidence"] == FOUND
    stranger = make_world(world.folder).lead
    assert judge(client_of(stranger), odd, what).status_code == 404
    odd.refresh_from_db()
    assert odd.state == "quarantined"


def test_without_a_reason_nothing_is_decided(world: World) -> None:
    _, odd = held(world)
    assert judge(client_of(world.lead), odd, "accept", " ").status_code == 400
    odd.refresh_from_db()
    assert odd.state == "quarantined"


def test_what_was_decided_stays_decided(world: World) -> None:
    _, odd = held(world)
    judge(client_of(world.lead), odd, "accept")
    assert judge(client_of(world.lead), odd, "reject").status_code == 409
    odd.refresh_from_db()
    assert odd.state == "accepted"


def test_a_decided_update_keeps_its_evidence_on_the_page(world: World) -> None:
    run, odd = held(world)
    judge(client_of(world.lead), odd, "reject")
    page = words(browser(world.lead).get(reverse("runs:round", args=[world.round_id(run)])))
    assert "Was held for review" in page
    assert "It points against the others" in page
    assert "a new ward" in page.lower()
