"""Pages and API of cases: who sees them, what they say, and the forms on them."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.urls import reverse

from hub.contributions.cases import words as saying
from hub.contributions.cases.services import open_case
from hub.contributions.models import SUSPECT, TOGETHER, Case, CaseKind
from hub.runs.models import Round
from tests.conftest import client_of
from tests.factories.organisations import MembershipFactory
from tests.hub.contributions.conducted import place_of
from tests.hub.runs.world import World, make_world
from tests.pages import browser, words

FIGURES = {"cosine": 0.9991, "usual_cosine": 0.31}


@pytest.fixture
def world(db: None, tmp_path: Path) -> World:
    return make_world(tmp_path, members=4)


@pytest.fixture
def case(world: World) -> Case:
    """About the second and the third, noticed in two rounds."""
    run = world.start_run()
    current = Round.objects.select_related("run__federation").get()
    about = [place_of(world, site) for site in world.sites[1:3]]
    for number, more in ((1, 0.0), (2, 0.0004)):
        current.number = number
        figures = {**FIGURES, "cosine": FIGURES["cosine"] + more}
        found = open_case(
            current=current, kind=CaseKind.NEAR_COPY, participations=about, figures=figures
        )
    assert run.cases.count() == 1
    return found


def url_of(world: World, what: str, *more: object) -> str:
    return reverse(f"contributions:{what}", args=[world.federation.slug, *more])


def test_every_kind_has_words_and_says_what_follows() -> None:
    assert saying.TELLINGS.keys() == set(CaseKind.values)
    for kind in CaseKind:
        said = saying.follows(Case(kind=kind, state="open"))
        assert ("count as one" in said) == (kind in TOGETHER)
        assert ("count for nothing" in said) == (kind in SUSPECT)
        assert "changes no value" in saying.follows(Case(kind=kind, state="dismissed"))


def test_nobody_is_accused() -> None:
    everything = " ".join(
        f"{one.title} {one.looks} {one.honestly}" for one in saying.TELLINGS.values()
    )
    for word in ("cheat", "fraud", "guilty", "stole", "accus", "liar", "attack"):
        assert word not in everything.lower()


def test_the_list_names_who_and_what(
    world: World, case: Case, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    with django_assert_max_num_queries(10):
        page = words(client.get(url_of(world, "cases")))
    assert "Updates that are nearly the same" in page
    for site in world.sites[1:3]:
        assert site.agent.organisation.name in page
    assert "1, 2" in page


def test_without_cases_the_page_says_what_would_be_here(world: World) -> None:
    assert "Nothing has looked odd" in words(browser(world.lead).get(url_of(world, "cases")))


def test_the_page_shows_figures_and_what_they_may_be(
    world: World, case: Case, django_assert_max_num_queries
) -> None:
    client = browser(world.lead)
    with django_assert_max_num_queries(10):
        page = words(client.get(url_of(world, "case", case.pk)))
    assert "0.9991 0.31" in page
    assert "0.9995 0.31" in page
    assert "without anybody having copied" in page
    assert "Both count as one while the case is open" in page
    assert "Your decision" in page
    assert "Your answer" not in page


def test_who_it_is_about_answers_and_the_lead_decides(world: World, case: Case) -> None:
    own = MembershipFactory(organisation=world.sites[1].agent.organisation, role="owner").user
    theirs = browser(own)
    page = words(theirs.get(url_of(world, "case", case.pk)))
    assert "Your answer" in page
    assert "Your decision" not in page
    theirs.post(url_of(world, "answer", case.pk), {"text": "We share a ward."})
    assert "We share a ward." in words(browser(world.lead).get(url_of(world, "case", case.pk)))
    lead = browser(world.lead)
    lead.post(url_of(world, "decide", case.pk), {"decision": "dismiss", "reason": ""})
    assert Case.objects.get().state == "open"
    lead.post(url_of(world, "decide", case.pk), {"decision": "dismiss", "reason": "One ward."})
    page = words(lead.get(url_of(world, "case", case.pk)))
    assert "One ward." in page
    assert "Your decision" not in page
    assert "it changes no value and no credit" in page


def test_strangers_find_nothing(world: World, case: Case) -> None:
    stranger = make_world(world.folder).lead
    client = browser(stranger)
    for what in ("cases", "case"):
        more = [case.pk] if what == "case" else []
        assert client.get(url_of(world, what, *more)).status_code == 404
    for what in ("decide", "answer"):
        assert client.post(url_of(world, what, case.pk), {"reason": "x"}).status_code == 404
    api = client_of(stranger)
    assert api.get("/api/v1/cases").json()["results"] == []
    missing = api.get(f"/api/v1/cases/{case.pk}")
    assert missing.status_code == 404
    for what in ("uphold", "dismiss", "answer"):
        answer = api.post(f"/api/v1/cases/{case.pk}/{what}", {"reason": "x"})
        assert (answer.status_code, answer.json()["detail"]) == (404, missing.json()["detail"])


def test_the_api_lists_shows_and_decides(
    world: World, case: Case, django_assert_max_num_queries
) -> None:
    api = client_of(world.lead)
    with django_assert_max_num_queries(10):
        (listed,) = api.get(f"/api/v1/cases?run={case.run_id}&state=open").json()["results"]
    assert listed["evidence"][1] == {"round": 2, **FIGURES, "cosine": pytest.approx(0.9995)}
    assert api.get("/api/v1/cases?kind=noise").json()["results"] == []
    assert api.post(f"/api/v1/cases/{case.pk}/answer", {"text": "we"}).status_code == 403
    upheld = api.post(f"/api/v1/cases/{case.pk}/uphold", {"reason": "seen"})
    assert (upheld.status_code, upheld.json()["state"]) == (200, "upheld")
    assert upheld.json()["decided_at"]
    again = api.post(f"/api/v1/cases/{case.pk}/dismiss", {"reason": "no"})
    assert (again.status_code, again.json()["code"]) == (409, "case_decided")
