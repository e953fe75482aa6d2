from __future__ import annotations

import pytest
from django.utils import timezone

from hub.federations.models import Federation, Participation
from hub.notices.settling import settle_needs
from hub.notices.telling import tell_news
from hub.organisations.models import Organisation
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import ArtifactFactory, EvaluationFactory, VersionFactory
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory
from tests.factories.runs import RoundFactory, RunFactory, TaskFactory, UpdateFactory
from tests.hub.notices.happening import happens
from tests.pages import browser, words

pytestmark = pytest.mark.django_db

MOST_QUERIES = 10


def home(person: Person) -> str:
    return words(browser(person.user).get("/"))


def test_a_stranger_reads_what_it_is():
    told = words(browser().get("/"))
    assert "Every record stays at home." in told.replace("\xa0", " ")
    assert "In a lawyer's words" in told
    assert "Register your organisation Sign in" in told


def test_who_signs_in_arrives_here(settings):
    user = UserFactory()
    response = browser(user).get("/accounts/login/")
    assert response.status_code == 302
    assert response.headers["Location"] == "/"


def test_a_newcomer_is_told_the_first_step():
    told = words(browser(UserFactory(email="niels@example.org")).get("/"))
    assert "Or ask one of its owners to add niels@example.org to its people." in told
    assert "Register an organisation" in told
    assert "Running now" not in told


def test_who_waits_for_approval_is_told_so():
    place = MembershipFactory(organisation=OrganisationFactory(state="pending"))
    told = words(browser(place.user).get("/"))
    assert "Register your organisation Done." in told
    assert "Wait for approval An operator of this hub looks" in told


def test_the_steps_follow_each_other(ada: Person):
    assert "Enrol an agent The program that trains" in home(ada)
    AgentFactory(organisation=ada.organisation, last_seen_at=timezone.now())
    assert "See the federations" in home(ada)
    place = ParticipationFactory(organisation=ada.organisation, state="requested")
    waits = f"has signed the charter of {place.federation}. Its lead decides."
    assert waits in home(ada)
    Participation.objects.filter(pk=place.pk).update(state="active")
    assert "Plan a run" in home(ada)
    RunFactory(federation=place.federation)
    assert "First steps" not in home(ada)


def test_what_was_told_and_waits_is_on_the_desk(
    ada: Person, blaise: Person, federation: Federation
):
    place = ParticipationFactory(federation=federation, state="requested")
    data = {"organisation": place.organisation.name, "federation": federation.name}
    happens("participation.requested", subject_id=place.pk, federation_id=federation.pk, data=data)
    happens("run.completed", federation_id=federation.pk, data={"run": "Autumn"})
    tell_news()
    told = home(ada)
    assert "1 thing needs you." in told
    assert f"{place.organisation} asked to join" in told
    assert "Autumn" not in told  # news are in the inbox
    assert "asked to join" not in home(blaise)
    Participation.objects.filter(pk=place.pk).update(state="active")
    settle_needs()
    assert "asked to join" not in home(ada)


def test_of_many_the_inbox_has_the_rest(ada: Person, federation: Federation):
    for place in ParticipationFactory.create_batch(6, federation=federation, state="requested"):
        happens("participation.requested", subject_id=place.pk, federation_id=federation.pk)
    tell_news()
    told = home(ada)
    assert told.count("An organisation asks to join") == 5
    assert "Many things need you." in told
    assert "All that needs you is in the inbox" in told


def test_an_organisation_without_an_agent_is_named(ada: Person, federation: Federation):
    other = MembershipFactory(user=ada.user).organisation
    AgentFactory(organisation=ada.organisation, last_seen_at=timezone.now())
    ParticipationFactory(federation=federation, organisation=other)
    assert f"{other} has no agent" in home(ada)


def test_a_suspended_organisation_is_told_where_to_look(ada: Person):
    Organisation.objects.update(state="suspended")
    assert "Ada Institute is suspended" in home(ada)


def test_live_runs_are_shown_with_their_round(ada: Person, federation: Federation):
    now = RoundFactory(run=RunFactory(federation=federation, name="Autumn"), number=2)
    RoundFactory(
        run=now.run, number=1, state="closed", version=VersionFactory(federation=federation)
    )
    task = TaskFactory(round=now, participation=federation.participations.first())
    UpdateFactory(task__round=now, task__participation=federation.participations.last())
    told = home(ada)
    assert "collecting 2 of 5 1 of 2" in told
    assert f"{task.agent.name} Ada Institute" in told


def test_the_live_part_is_fetched_alone(ada: Person, federation: Federation):
    RunFactory(federation=federation, name="Autumn")
    client = browser(ada.user)
    assert 'hx-trigger="every 10s"' in client.get("/").content.decode()
    part = client.get("/", headers={"HX-Request": "true"}).content.decode()
    assert part.lstrip().startswith('<div id="live"')
    assert "Autumn" in part
    federation.runs.update(state="completed")
    assert "hx-trigger" not in client.get("/").content.decode()


def test_results_are_shown_beside_where_they_began(ada: Person, federation: Federation):
    run = RunFactory(federation=federation, name="Autumn", state="completed")
    place = federation.participations.first()
    version = VersionFactory(federation=federation)
    EvaluationFactory(
        version=None,
        adapter=ArtifactFactory(),
        participation=place,
        run_id=run.pk,
        round_number=0,
        correct=12,
    )
    EvaluationFactory(version=version, participation=place, run_id=run.pk, correct=61)
    assert "12.0% 61.0% +49.0 points" in home(ada)


def test_nothing_of_other_federations_is_shown(carol: Person, federation: Federation):
    run = RunFactory(federation=federation, name="Autumn")
    TaskFactory(round__run=run)
    UpdateFactory(task__round__run=RunFactory(federation=federation), state="quarantined")
    told = home(carol)
    assert "Autumn" not in told
    assert federation.name not in told


def test_who_is_in_many_federations_sees_some_and_the_way_to_all(ada: Person):
    ParticipationFactory.create_batch(21, organisation=ada.organisation)
    AgentFactory.create_batch(21, organisation=ada.organisation)
    told = home(ada)
    assert "All 21 federations" in told
    assert "All 21 agents" in told
    assert browser(ada.user).get("/").content.decode().count('<th scope="row"') == 20 + 20


def test_a_full_desk_needs_few_queries(
    ada: Person, operator: Person, federation: Federation, django_assert_max_num_queries
):
    MembershipFactory(user=operator.user, organisation=ada.organisation)
    for _ in range(3):
        ParticipationFactory(federation=federation, state="requested")
        run = RunFactory(federation=federation, state="completed")
        EvaluationFactory(run_id=run.pk, version__federation=federation)
        now = RoundFactory(run=RunFactory(federation=federation))
        TaskFactory(round=now, participation=federation.participations.first())
        UpdateFactory(task__round=now, state="quarantined")
        AgentFactory(organisation=ada.organisation)
        ParticipationFactory(organisation=ada.organisation)
    for place in ParticipationFactory.create_batch(2, federation=federation, state="requested"):
        happens("participation.requested", subject_id=place.pk, federation_id=federation.pk)
    happens("organisation.registered", subject_id=OrganisationFactory(state="pending").pk)
    tell_news()
    for person in (ada, operator):
        client = browser(person.user)
        with django_assert_max_num_queries(MOST_QUERIES):
            client.get("/")
