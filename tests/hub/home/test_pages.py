from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from hub.federations.models import Federation, Participation
from hub.organisations.models import Organisation
from tests.conftest import Person
from tests.factories.accounts import UserFactory
from tests.factories.catalogue import ArtifactFactory, EvaluationFactory, VersionFactory
from tests.factories.federations import ParticipationFactory
from tests.factories.organisations import AgentFactory, MembershipFactory, OrganisationFactory
from tests.factories.runs import RoundFactory, RunFactory, TaskFactory, UpdateFactory
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


def test_the_lead_s_owner_is_told_who_asks_to_join(ada: Person, federation: Federation):
    ParticipationFactory(federation=federation, state="requested")
    assert f"1 organisation asks to join {federation}" in home(ada)


def test_others_are_not_asked_to_decide(blaise: Person, ada: Person, federation: Federation):
    ParticipationFactory(federation=federation, state="requested")
    scientist = MembershipFactory(organisation=ada.organisation, role="scientist")
    assert "asks to join" not in home(blaise)
    assert "asks to join" not in words(browser(scientist.user).get("/"))


def test_the_lead_is_told_of_held_updates(ada: Person, blaise: Person, federation: Federation):
    held = RoundFactory(run=RunFactory(federation=federation, name="Autumn"))
    for _ in range(2):
        UpdateFactory(task__round=held, state="quarantined")
    assert "2 updates are held for review Round 1 of Autumn" in home(ada)
    assert f'href="/rounds/{held.pk}"' in browser(ada.user).get("/").content.decode()
    assert "held for review" not in home(blaise)


def test_a_silent_agent_needs_somebody(ada: Person):
    two_minutes = timezone.now() - timedelta(minutes=2, seconds=5)
    AgentFactory(organisation=ada.organisation, name="ward-1", last_seen_at=two_minutes)
    AgentFactory(organisation=ada.organisation, name="ward-2", last_seen_at=timezone.now())
    told = home(ada)
    assert "The agent ward-1 is silent" in told
    assert "The agent ward-2 is silent" not in told


def test_an_organisation_without_an_agent_is_named(ada: Person, federation: Federation):
    other = MembershipFactory(user=ada.user).organisation
    AgentFactory(organisation=ada.organisation, last_seen_at=timezone.now())
    ParticipationFactory(federation=federation, organisation=other)
    assert f"{other} has no agent" in home(ada)


def test_a_suspended_organisation_is_told_where_to_look(ada: Person):
    Organisation.objects.update(state="suspended")
    assert "Ada Institute is suspended" in home(ada)


def test_an_operator_is_told_who_waits_for_approval(operator: Person, ada: Person):
    OrganisationFactory(state="pending")
    assert "1 organisation waits for approval" in home(operator)
    assert "waits for approval" not in home(ada)


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
    # An operator is also told how many organisations wait for approval.
    for person, most in ((ada, MOST_QUERIES), (operator, MOST_QUERIES + 1)):
        client = browser(person.user)
        with django_assert_max_num_queries(most):
            client.get("/")
